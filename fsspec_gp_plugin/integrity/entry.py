"""One line of a manifest: an object's name, size and checksum."""

from __future__ import annotations

import json
from typing import NamedTuple

_LONGEST_NAME = 4096
_LARGEST = 1 << 63


class Entry(NamedTuple):
    """`name`: the object's key below the backup's prefix; `size`: bytes; `crc32c`: of all of them."""

    name: str
    size: int
    crc32c: int


def written(entry: Entry) -> str:
    """One line of JSON, in ASCII, without its end; ValueError for what read() would not take."""
    if not is_name(entry.name):
        raise ValueError(f"{entry.name!r} can't stand in a manifest")
    return json.dumps([entry.name, entry.size, f"{entry.crc32c:08x}"], separators=(",", ":"))


def read(line: bytes | str) -> Entry:
    """What written() made; ValueError for anything else, however odd: it may come from a hostile bucket."""
    try:
        value = json.loads(line)
        name, size, crc = value
    except (RecursionError, TypeError, ValueError):
        raise ValueError("not an entry of a manifest") from None
    if type(value) is not list or type(name) is not str or type(size) is not int or type(crc) is not str:
        raise ValueError("not an entry of a manifest")
    if not is_name(name) or not 0 <= size < _LARGEST or len(crc) != 8 or not set(crc) <= set("0123456789abcdef"):
        raise ValueError("not an entry of a manifest")
    return Entry(name, size, int(crc, 16))


def is_name(name: str) -> bool:
    """Whether an object below a backup's prefix may be called so."""
    try:
        encoded = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    parts = name.split("/")
    return 0 < len(encoded) <= _LONGEST_NAME and not {"", ".", ".."} & set(parts) and "\0" not in name
