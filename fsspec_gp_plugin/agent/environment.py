"""The part of a process's surroundings that may decide where bytes go and with whose credentials.

The agent has the surroundings of the hook that started it. A caller with other surroundings runs its command itself.
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

PLACE_PATHS = ("/proc/self/ns/mnt", "/proc/self/ns/net", "/proc/self/ns/user", "/")


def place() -> str:
    """Which files, network and users this process sees: the identities of its namespaces and its root directory. All
    processes have the same where there are no such namespaces. Both clients send theirs.
    """
    identities = []
    for path in PLACE_PATHS:
        device = inode = 0
        with suppress(OSError):
            status = os.stat(path)
            device, inode = status.st_dev, status.st_ino
        identities.append(f"{device:x}:{inode:x} ")
    return "".join(identities)


def protocols(config: Config) -> list[str]:
    """The protocols of the targets of a configuration."""
    return [scheme_of(target.url) for target in (config, config.replica) if target is not None]


def relevant(environment: Mapping[str, str], protocol: str) -> dict[str, str]:
    """The variables that count for URLs of that protocol, after the launcher in bin/ has removed some."""
    return _relevant(frozenset(environment.items()), protocol)


@lru_cache(maxsize=64)  # the same for all tables of a session, and it would cost a tenth of a small one
def _relevant(variables: frozenset[tuple[str, str]], protocol: str) -> dict[str, str]:
    environment = dict(variables)
    counting = {name: value for name, value in environment.items() if _counts(name.upper(), protocol)}
    if counting.get("OPENSSL_CONF", "").startswith(f"{environment.get('GPHOME') or '/nowhere'}/"):
        del counting["OPENSSL_CONF"]
    return counting


def _counts(name: str, protocol: str) -> bool:
    provider = provider_of(protocol)
    if name == "HOME" or any(fnmatchcase(name, pattern) for pattern in provider.variables):
        return True
    return provider is OTHER and name != "PWD" and not name.startswith(("GP_", "PG")) and is_secret_key(name)


def differing(one: Mapping[str, str], other: Mapping[str, str], config: Config) -> list[str]:
    """The names of the variables that count for a configuration's targets, and are not the same in two environments."""
    differences = (
        relevant(one, protocol).items() ^ relevant(other, protocol).items() for protocol in protocols(config)
    )
    return sorted({name for pairs in differences for name, _ in pairs})


def digest(environment: Mapping[str, str], of: Iterable[str]) -> str:
    """A digest of the surroundings that count for targets of these protocols: it shows no secret."""
    variables = {(name, value) for protocol in of for name, value in relevant(environment, protocol).items()}
    lines = [place(), *(f"{name}={value}" for name, value in sorted(variables))]
    return hashlib.sha256("\0".join(lines).encode(errors="surrogateescape")).hexdigest()
