"""Writes and reads manifests: objects beside a backup that list what one host has stored, with sizes and checksums.

A manifest is a gzip file of lines of JSON: first a mapping that describes the manifest, then a list `[name, size,
crc32c]` for each object, sorted by name; `zcat` shows it. A manifest that is read may come from a hostile bucket, so
every length has its limit. The journal on the host has the same lists.
"""

from __future__ import annotations

import json
import re
import secrets
import time
import zlib
from typing import TYPE_CHECKING, NamedTuple

from .. import __version__, private
from ..errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# Below the backup's own prefix: one small listing finds all of them, and what deletes the backup deletes them.
FOLDER = "fsspec_gp_plugin/"
_SUFFIX = ".manifest.gz"
# The probe objects of setup hooks before version 0.2. They stay where the credentials can't delete.
_OLD_PROBE = re.compile(r"gpbackup_[0-9]{14}_probe_.+_(?:written|aborted)")
_OF_MARK = re.compile(re.escape(FOLDER) + r"(.+)\.([0-9a-f]{12})-[0-9a-f]{6}\.manifest\.gz")
_FORMAT = "fsspec_gp_plugin manifest"
_VERSION = 1
_LONGEST_LINE = 64 << 10
_LONGEST_NAME = 4096
_LARGEST_OBJECT = 1 << 63
_STEP = 64 << 10
# 25 million objects.
_LARGEST = 2 << 30


class BadManifest(StorageError):
    """The object is not a manifest that this version can read."""


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
    is_crc = len(crc) == 8 and set(crc) <= set("0123456789abcdef")
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


class Header(NamedTuple):
    """What a manifest says of itself. `created`: nanoseconds since 1970; `claim`: the token of the claim under which
    its host stored the objects, "" without one; `mark`: the id of its host's mark, "" without one.
    """

    timestamp: str
    host: str
    created: int
    objects: int
    plugin: str = ""
    claim: str = ""
    mark: str = ""


def is_plugins_own(name: str) -> bool:
    """Whether an object below a backup's prefix was stored by this plugin for itself, not for gpbackup, by its name."""
    return name.startswith(FOLDER) or _OLD_PROBE.fullmatch(name) is not None


def name_of_host() -> str:
    """The name of this host, as it stands in names of objects."""
    return "".join(c if (c.isalnum() and c.isascii()) or c in "-." else "_" for c in private.host())


def new_name(mark: str = "") -> str:
    """A new name for a manifest below a backup's prefix. No other host and no other call uses this name. `mark`: the id
    of the host's mark, "" if it left none.
    """
    return f"{FOLDER}{name_of_host()}.{f'{mark}-{secrets.token_hex(3)}' if mark else secrets.token_hex(6)}{_SUFFIX}"


def host_and_mark_of(name: str) -> tuple[str, str] | None:
    """The host and the id of the mark to which the manifest of that name belongs. None if it belongs to no mark."""
    match = _OF_MARK.fullmatch(name)
    return match and (match[1], match[2])


def is_manifest(name: str) -> bool:
    """Whether an object below a backup's prefix is a manifest, by its name."""
    return name.startswith(FOLDER) and name.endswith(_SUFFIX) and "/" not in name[len(FOLDER) :]


def encode(timestamp: str, entries: Sequence[Entry], claim: str = "", mark: str = "") -> bytes:
    """A manifest of these entries of this host. `claim`: the claim's token; `mark`: the id of the host's mark."""
    import gzip  # only the last hook of a backup needs it

    header = {
        "format": _FORMAT,
        "version": _VERSION,
        "plugin": __version__,
        "timestamp": timestamp,
        "host": private.host(),
        "claim": claim,
        "mark": mark,
        "created": time.time_ns(),
        "checksum": "crc32c",
        "objects": len(entries),
    }
    lines = [json.dumps(header), *map(entry_line, entries)]
    return gzip.compress("\n".join([*lines, ""]).encode(), 6, mtime=0)


class Budget:
    """How many bytes all manifests of one backup may unpack to."""

    def __init__(self) -> None:
        self._left = _LARGEST

    def spend(self, count: int) -> bool:
        """Take so many bytes. Returns whether they were left."""
        self._left -= count
        return self._left >= 0


def decode(key: str, timestamp: str, pieces: Iterable[bytes], budget: Budget) -> Iterator[Header | Entry]:
    """The header, then the entries, of a manifest that arrives in pieces. Raises BadManifest, which names the key, for
    anything else. Use nothing of a manifest before the iteration has come to its end.
    """
    lines = _lines(key, pieces, budget)
    header = _header(key, timestamp, next(lines, b""))
    yield header
    count = 0
    for line in lines:
        try:
            entry = parse_entry(line)
        except ValueError as error:
            raise BadManifest(f"{key}: line {count + 2} is {error}") from None
        yield entry
        count += 1
    if count != header.objects:
        raise BadManifest(f"{key} has {count} objects, but its header says {header.objects}")


def _header(key: str, timestamp: str, line: bytes) -> Header:
    try:
        value = json.loads(line)
        if value["format"] != _FORMAT:
            raise ValueError
        version, checksum = value["version"], value["checksum"]
        optional = (str(value.get(name, "")) for name in ("plugin", "claim", "mark"))
        header = Header(value["timestamp"], value["host"], value["created"], value["objects"], *optional)
    except (KeyError, RecursionError, TypeError, ValueError):
        raise BadManifest(f"{key} is not a manifest of this plugin") from None
    if version != _VERSION or checksum != "crc32c":
        raise BadManifest(f"{key} was written by a later version of this plugin; restore with that version")
    for field, kind in ((header.host, str), (header.created, int), (header.objects, int)):
        if type(field) is not kind:
            raise BadManifest(f"{key} is not a manifest of this plugin")
    if not 0 <= header.created < 1 << 63 or header.timestamp != timestamp:
        raise BadManifest(f"{key} belongs to another backup")
    return header


def _lines(key: str, pieces: Iterable[bytes], budget: Budget) -> Iterator[bytes]:
    unpacking = zlib.decompressobj(wbits=31)
    rest = b""
    packed = 0
    goes_on = False
    try:
        for piece in _small(pieces):
            packed += len(piece)
            goes_on = unpacking.eof or packed > _LARGEST
            if goes_on:
                break  # a stream that takes bytes and gives none may have no end
            while piece and not unpacking.eof:
                # In small steps: a few bytes may unpack to gigabytes.
                text = unpacking.decompress(piece, _STEP)
                piece = unpacking.unconsumed_tail
                *whole, rest = (rest + text).split(b"\n")
                if (
                    len(rest) > _LONGEST_LINE
                    or not budget.spend(len(text))
                    or any(len(line) > _LONGEST_LINE for line in whole)
                ):
                    raise BadManifest(f"{key} is too large for a manifest")
                yield from whole
    except zlib.error:
        raise BadManifest(f"{key} is damaged: it is no gzip file") from None
    if goes_on or not unpacking.eof or unpacking.unused_data or rest:
        raise BadManifest(f"{key} is damaged: it does not end where it should")


def _small(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in small pieces, because zlib copies the rest of a piece with each step."""
    for piece in pieces:
        for at in range(0, len(piece), _STEP):
            yield piece[at : at + _STEP]
