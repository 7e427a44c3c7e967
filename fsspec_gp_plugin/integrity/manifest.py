"""Manifests: what one host has stored of one backup, as an object beside it.

A gzip file of lines of JSON: first a mapping that tells what it is, then a list `[name, size, crc32c]` for each object,
sorted by name; `zcat` shows it. What is read here may come from a hostile bucket: every length has its limit.
"""

from __future__ import annotations

import gzip
import json
import re
import secrets
import time
import zlib
from typing import TYPE_CHECKING, NamedTuple

from .. import __version__, private
from ..errors import StorageError
from . import entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .entry import Entry

# Below the backup's own prefix: one small listing finds all of them, and what deletes the backup deletes them.
FOLDER = "fsspec_gp_plugin/"
_SUFFIX = ".manifest.gz"
# What setup hooks of versions before 0.2 have tried a target with; it stays where the credentials can't delete.
_OLD_PROBE = re.compile(r"gpbackup_[0-9]{14}_probe_.+_(?:written|aborted)")
_OF_MARK = re.compile(re.escape(FOLDER) + r"(.+)\.([0-9a-f]{12})-[0-9a-f]{6}\.manifest\.gz")
_FORMAT = "fsspec_gp_plugin manifest"
_VERSION = 1
_LONGEST_LINE = 64 << 10
_STEP = 64 << 10
# 25 million objects.
_LARGEST = 2 << 30


class BadManifest(StorageError):
    """It is none that this version can read."""


class Header(NamedTuple):
    """What a manifest says of itself. `created`: nanoseconds since 1970; `claim`: the token of the claim under which
    its host stored the objects, "" where there was none; `mark`: the id of its host's mark, "" without one.
    """

    timestamp: str
    host: str
    created: int
    objects: int
    plugin: str = ""
    claim: str = ""
    mark: str = ""


def is_plugins_own(name: str) -> bool:
    """Whether an object below a backup's prefix is this plugin's own, and none that gpbackup stored, by its name."""
    return name.startswith(FOLDER) or _OLD_PROBE.fullmatch(name) is not None


def name_of_host() -> str:
    """The name of this host as the names of objects have it."""
    return "".join(c if (c.isalnum() and c.isascii()) or c in "-." else "_" for c in private.host())


def new_name(mark: str = "") -> str:
    """A name below the backup's prefix that no other host, and no other call, uses. `mark`: the id of the host's mark,
    "" where it left none.
    """
    return f"{FOLDER}{name_of_host()}.{f'{mark}-{secrets.token_hex(3)}' if mark else secrets.token_hex(6)}{_SUFFIX}"


def signer(name: str) -> tuple[str, str] | None:
    """The host and the id of the mark to which the manifest of that name belongs; None where it belongs to none."""
    match = _OF_MARK.fullmatch(name)
    return match and (match[1], match[2])


def is_manifest(name: str) -> bool:
    """Whether an object below a backup's prefix is a manifest, by its name."""
    return name.startswith(FOLDER) and name.endswith(_SUFFIX) and "/" not in name[len(FOLDER) :]


def encoded(timestamp: str, entries: Sequence[Entry], claim: str = "", mark: str = "") -> bytes:
    """A manifest of these entries of this host, under a claim and with the id of the host's mark."""
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
    lines = [json.dumps(header), *map(entry.written, entries)]
    return gzip.compress("\n".join([*lines, ""]).encode(), 6, mtime=0)


class Budget:
    """How many bytes all manifests of one backup may unpack to."""

    def __init__(self) -> None:
        self._left = _LARGEST

    def spend(self, count: int) -> bool:
        """Whether so many are left."""
        self._left -= count
        return self._left >= 0


def decoded(key: str, timestamp: str, pieces: Iterable[bytes], budget: Budget) -> Iterator[Header | Entry]:
    """The header, then the entries, of a manifest that arrives in pieces; BadManifest, by its key, for anything else.

    Nothing of a manifest counts until the iteration has come to its end.
    """
    lines = _lines(key, pieces, budget)
    header = _header(key, timestamp, next(lines, b""))
    yield header
    count = 0
    for line in lines:
        try:
            found = entry.read(line)
        except ValueError as error:
            raise BadManifest(f"{key}: line {count + 2} is {error}") from None
        yield found
        count += 1
    if count != header.objects:
        raise BadManifest(f"{key}: it has {count} objects, and says that it has {header.objects}")


def _header(key: str, timestamp: str, line: bytes) -> Header:
    try:
        found = json.loads(line)
        if found["format"] != _FORMAT:
            raise ValueError
        version, checksum = found["version"], found["checksum"]
        more = (str(found.get(name, "")) for name in ("plugin", "claim", "mark"))
        header = Header(found["timestamp"], found["host"], found["created"], found["objects"], *more)
    except (KeyError, RecursionError, TypeError, ValueError):
        raise BadManifest(f"{key} is not a manifest of this plugin") from None
    if version != _VERSION or checksum != "crc32c":
        raise BadManifest(f"{key} is of a later version of this plugin, which its restore needs")
    for value, kind in ((header.host, str), (header.created, int), (header.objects, int)):
        if type(value) is not kind:
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
                break  # what takes bytes and gives none may have no end
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
    """The same bytes in small pieces: what is left of one is copied with each step."""
    for piece in pieces:
        for at in range(0, len(piece), _STEP):
            yield piece[at : at + _STEP]
