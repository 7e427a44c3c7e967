"""The mark that each host leaves beside a backup when its setup hook has found the claim: it will write here, and then
leave a manifest. A mark without a manifest tells that what the host stored is written down nowhere.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from typing import TYPE_CHECKING

from .. import __version__, private
from .manifest import FOLDER, name_of_host, signer

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = re.compile(re.escape(FOLDER) + r"(.+)\.([0-9a-f]{12})\.mark")


def new_id() -> str:
    """What tells this host's mark from that of another host of the same name: 12 hexadecimal digits."""
    return secrets.token_hex(6)


def name_of(mark: str) -> str:
    """The name below the backup's prefix of this host's mark."""
    return f"{FOLDER}{name_of_host()}.{mark}.mark"


def content(mark: str, claim: str) -> bytes:
    """What the object holds. `claim`: the claim's token, "" where it could not be read."""
    told = {
        "format": "fsspec_gp_plugin mark",
        "version": 1,
        "plugin": __version__,
        "host": private.host(),
        "mark": mark,
        "claim": claim,
        "created": time.time_ns(),
    }
    return json.dumps(told).encode() + b"\n"


def read(name: str) -> tuple[str, str] | None:
    """The host and the id of the mark that an object below a backup's prefix is; None for any other name."""
    match = _NAME.fullmatch(name)
    return match and (match[1], match[2])


def without_manifest(marks: Iterable[tuple[str, str]], manifests: Iterable[str]) -> list[str]:
    """The hosts whose marks none of the manifests, given by their names, belongs to; sorted."""
    signed = {signer(name) for name in manifests}
    return sorted(host for host, mark in marks if (host, mark) not in signed)
