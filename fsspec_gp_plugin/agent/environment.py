"""What of a process's surroundings may decide where bytes go and with whose credentials.

The agent has the surroundings of the hook that started it. A caller that has others runs by itself, and gets what it
asked for.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from ..providers import OTHER, provider_of, scheme_of
from ..redaction import is_secret_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..config.loading import Config

SEEN = ("/proc/self/ns/mnt", "/proc/self/ns/net", "/proc/self/ns/user", "/")


def place() -> str:
    """Whose files, network and users this process sees: the identities of its namespaces and its root directory. The
    same for all where there are no such namespaces. Both clients tell theirs.
    """
    found = []
    for path in SEEN:
        device = inode = 0
        with suppress(OSError):
            status = os.stat(path)
            device, inode = status.st_dev, status.st_ino
        found.append(f"{device:x}:{inode:x} ")
    return "".join(found)


def protocols(config: Config) -> list[str]:
    """Of the targets of a configuration."""
    return [scheme_of(target.url) for target in (config, config.replica) if target is not None]


def relevant(environment: Mapping[str, str], protocol: str) -> dict[str, str]:
    """Those variables that count, for URLs of that protocol, after what the launcher in bin/ does to them."""
    return _relevant(frozenset(environment.items()), protocol)


@lru_cache(maxsize=64)  # the same for all tables of a session, and it would cost a tenth of a small one
def _relevant(variables: frozenset[tuple[str, str]], protocol: str) -> dict[str, str]:
    environment = dict(variables)
    found = {name: value for name, value in environment.items() if _counts(name.upper(), protocol)}
    if found.get("OPENSSL_CONF", "").startswith(f"{environment.get('GPHOME') or '/nowhere'}/"):
        del found["OPENSSL_CONF"]
    return found


def _counts(name: str, protocol: str) -> bool:
    provider = provider_of(protocol)
    if name == "HOME" or any(fnmatchcase(name, pattern) for pattern in provider.variables):
        return True
    return provider is OTHER and name != "PWD" and not name.startswith(("GP_", "PG")) and is_secret_key(name)


def differing(one: Mapping[str, str], other: Mapping[str, str], config: Config) -> list[str]:
    """The names of the variables that count for a configuration's targets, and are not the same in two environments."""
    found = (relevant(one, protocol).items() ^ relevant(other, protocol).items() for protocol in protocols(config))
    return sorted({name for pairs in found for name, _ in pairs})


def digest(environment: Mapping[str, str], of: Iterable[str]) -> str:
    """What tells two processes' surroundings apart, without their secrets, where targets are of these protocols."""
    found = {(name, value) for protocol in of for name, value in relevant(environment, protocol).items()}
    lines = [place(), *(f"{name}={value}" for name, value in sorted(found))]
    return hashlib.sha256("\0".join(lines).encode(errors="surrogateescape")).hexdigest()
