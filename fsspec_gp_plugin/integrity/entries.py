"""Writes and reads entries: what a journal and a manifest have of one object, as a line of JSON.

What is read may come from a hostile bucket, so every length has its limit.
"""

from __future__ import annotations

import json
from typing import NamedTuple

_LONGEST_NAME = 4096
_LARGEST_OBJECT = 1 << 63
_HEX = frozenset("0123456789abcdef")


class Entry(NamedTuple):
    """What a manifest has of one object. `name`: its key below the backup's prefix; `size`: bytes; `crc32c`: of all of
    its bytes.
    """

    name: str
    size: int
    crc32c: int


def entry_line(entry: Entry) -> str:
    """An entry as one line of JSON, in ASCII, without a line end. Raises ValueError for a name that is not allowed."""
    if not is_object_name(entry.name):
        raise ValueError(f"{entry.name!r} can't stand in a manifest")
    return json.dumps([entry.name, entry.size, f"{entry.crc32c:08x}"], separators=(",", ":"))


def parse_entry(line: bytes | str) -> Entry:
    """The entry in a line that entry_line() made. Raises ValueError for any other line: it may come from a hostile
    bucket.
    """
    try:
        value = json.loads(line)
        name, size, crc = value
    except (RecursionError, TypeError, ValueError):
        raise ValueError("not an entry of a manifest") from None
    if type(value) is not list or type(name) is not str or type(size) is not int or type(crc) is not str:
        raise ValueError("not an entry of a manifest")
    is_crc = len(crc) == 8 and _HEX.issuperset(crc)
    if not is_object_name(name) or not 0 <= size < _LARGEST_OBJECT or not is_crc:
        raise ValueError("not an entry of a manifest")
    return Entry(name, size, int(crc, 16))


def is_object_name(name: str) -> bool:
    """Whether an object below a backup's prefix may have this name."""
    try:
        encoded = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    parts = name.split("/")
    return 0 < len(encoded) <= _LONGEST_NAME and not {"", ".", ".."} & set(parts) and "\0" not in name
