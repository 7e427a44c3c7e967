"""Names and contents of marks: small objects beside a backup whose names tell what a host is doing there.

Each host leaves its mark when its setup hook has found the claim: the host will write here, and leave a manifest at the
end. A mark without a manifest means that nothing lists what the host has stored. A copy mark means that the backup is
being copied to where the mark lies.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from typing import TYPE_CHECKING

from .. import __version__, private
from .object_names import FOLDER, MARKS_FOLDER, name_of_host, parse_manifest_name

if TYPE_CHECKING:
    from collections.abc import Iterable

# The first marks were not in a folder of their own.
_HOST_MARK = re.compile(re.escape(FOLDER) + r"(?:marks/)?([^/]+)\.([0-9a-f]{12})\.mark")
_COPY_MARK = re.compile(re.escape(FOLDER) + r"replicating\.([0-9]{1,12})\.[0-9a-f]{12}")


def new_mark_id() -> str:
    """A random id of 12 hexadecimal digits: two hosts of the same name have different ones."""
    return secrets.token_hex(6)


def host_mark_name(mark: str) -> str:
    """The name of this host's mark below the backup's prefix. `mark`: its id."""
    return f"{MARKS_FOLDER}{name_of_host()}.{mark}.mark"


def host_mark_content(mark: str, claim: str) -> bytes:
    """The content of this host's mark. `claim`: the claim's token, "" if it could not be read."""
    value = {
        "format": "fsspec_gp_plugin mark",
        "version": 1,
        "plugin": __version__,
        "host": private.host(),
        "mark": mark,
        "claim": claim,
        "created": time.time_ns(),
    }
    return json.dumps(value).encode() + b"\n"


def parse_host_mark(name: str) -> tuple[str, str] | None:
    """The host and the id of a host's mark, by its name below a backup's prefix. None for any other object."""
    match = _HOST_MARK.fullmatch(name)
    return match and (match[1], match[2])


def hosts_without_manifest(marks: Iterable[tuple[str, str]], manifests: Iterable[str]) -> list[str]:
    """The hosts that left a mark, but none of the manifests, sorted. `manifests`: names of manifests."""
    complete = {(one.host, one.mark) for one in map(parse_manifest_name, manifests) if one is not None}
    return sorted(host for host, mark in marks if (host, mark) not in complete)


def new_copy_mark() -> str:
    """A new name for a copy mark below a backup's prefix. No other call uses this name."""
    return f"{FOLDER}replicating.{int(time.time())}.{secrets.token_hex(6)}"


def parse_copy_mark(name: str) -> int | None:
    """When the copying began, in seconds since 1970, by the name of a copy mark. None for any other object."""
    match = _COPY_MARK.fullmatch(name)
    return match and int(match[1])
