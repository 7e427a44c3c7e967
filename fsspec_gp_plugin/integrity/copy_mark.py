"""The mark that a backup is being copied to where it lies, by the name of a small object beside it."""

from __future__ import annotations

import re
import secrets
import time

from .manifest import FOLDER

_NAME = re.compile(re.escape(FOLDER) + r"replicating\.([0-9]{1,12})\.[0-9a-f]{12}")


def new_name() -> str:
    """Below the backup's prefix, and of no other call."""
    return f"{FOLDER}replicating.{int(time.time())}.{secrets.token_hex(6)}"


def read(name: str) -> int | None:
    """When the copying began, in seconds since 1970, by the name of an object below a backup's prefix; None for any
    other name.
    """
    match = _NAME.fullmatch(name)
    return match and int(match[1])
