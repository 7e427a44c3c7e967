"""Reads manifests: objects beside a backup that list what one host has stored, with sizes and checksums.

A manifest consists of gzip members, one after another; `zcat` shows it. The first member is the index: one line of JSON
that describes the manifest and its other members. Each of these has the objects of one content id: a line `[name, size,
crc32c]` for each object, sorted by name. So a reader who needs one content id reads two ranges. A manifest of version 1
is one member, with the description first. A manifest that is read may come from a hostile bucket, so every length has
its limit. manifest_packing.py writes them.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, NamedTuple

from ..errors import StorageError
from .contents import content_of
from .entries import Entry, parse_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORMAT = "fsspec_gp_plugin manifest"
VERSION = 2
_LONGEST_LINE = 64 << 10
_LONGEST_INDEX = 4 << 20
_STEP = 64 << 10
# Bytes that one member may unpack to: more than 30 million objects. And those that one call may read of all manifests.
_LARGEST_MEMBER = 2 << 30
_LARGEST_OF_CALL = 16 << 30
GZIP = 31


class BadManifest(StorageError):
    """The object is not a manifest that this version can read."""


class Member(NamedTuple):
    """A member of a manifest: the objects of one content id. `start` and `packed`: where its bytes begin in the object,
    and how many they are; `objects` and `size`: how many objects it lists, and their bytes.
    """

    content: int
    start: int
    packed: int
    objects: int
    size: int


class Header(NamedTuple):
    """What a manifest says of itself. `created`: nanoseconds since 1970; `claim`: the token of the claim under which
    its host stored the objects, "" without one; `mark`: the id of its host's mark, "" without one; `members`: those
    after the index, None for a manifest of version 1.
    """

    timestamp: str
    host: str
    created: int
    objects: int
    plugin: str = ""
    claim: str = ""
    mark: str = ""
    members: tuple[Member, ...] | None = None


class Budget:
    """How many bytes all manifests that one call reads may unpack to."""

    def __init__(self) -> None:
        self._left = _LARGEST_OF_CALL

    def spend(self, count: int) -> bool:
        """Take so many bytes. Returns whether they were left."""
        self._left -= count
        return self._left >= 0


def decode(key: str, timestamp: str, pieces: Iterable[bytes], budget: Budget) -> Iterator[Header | Entry]:
    """The header, then the entries, of a whole manifest that arrives in pieces. Raises BadManifest, which names the
    key, for anything else. Use nothing of a manifest before the iteration has come to its end.
    """
    reading = _Reading(key, pieces, budget)
    lines = reading.lines(_LONGEST_INDEX)
    header = _parse_header(key, timestamp, next(lines, b""))
    yield header
    if header.members is None:
        yield from _parse_entries(key, lines, header.objects, 2)
    else:
        _require_no_more(key, lines)
        for member in _placed(header.members, reading.packed):
            yield from reading.member(member)
    reading.require_end()


def decode_index(key: str, timestamp: str, pieces: Iterable[bytes]) -> Header:
    """The header of a manifest, by its first bytes; its members have their places in the object. The entries of a
    manifest of version 1 are not read. Raises BadManifest.
    """
    reading = _Reading(key, pieces, Budget())
    lines = reading.lines(_LONGEST_INDEX)
    header = _parse_header(key, timestamp, next(lines, b""))
    if header.members is None:
        return header
    _require_no_more(key, lines)
    return header._replace(members=tuple(_placed(header.members, reading.packed)))


def decode_member(key: str, member: Member, pieces: Iterable[bytes], budget: Budget) -> Iterator[Entry]:
    """The entries of one member of which the bytes arrive in pieces. Raises BadManifest."""
    reading = _Reading(key, pieces, budget)
    yield from reading.member(member)
    reading.require_end()


def _placed(members: Iterable[Member], start: int) -> Iterator[Member]:
    for member in members:
        yield member._replace(start=start)
        start += member.packed


def _require_no_more(key: str, lines: Iterator[bytes]) -> None:
    if next(lines, None) is not None:
        raise BadManifest(f"{key} is damaged: its index has more than one line")


def _parse_entries(key: str, lines: Iterable[bytes], count: int, first: int) -> Iterator[Entry]:
    """`count`: how many there must be; `first`: the number of the first line, for messages."""
    found = 0
    for line in lines:
        try:
            entry = parse_entry(line)
        except ValueError as error:
            raise BadManifest(f"{key}: line {found + first} is {error}") from None
        yield entry
        found += 1
    if found != count:
        raise BadManifest(f"{key} has {found} objects, but its header says {count}")


def _parse_header(key: str, timestamp: str, line: bytes) -> Header:
    try:
        value = json.loads(line)
        if value["format"] != FORMAT:
            raise ValueError
        version, checksum = value["version"], value["checksum"]
        if type(version) is not int or version > VERSION or checksum != "crc32c":
            raise BadManifest(f"{key} was written by a later version of this plugin; restore with that version")
        plugin, claim, mark = (str(value.get(name, "")) for name in ("plugin", "claim", "mark"))
        members = None if version == 1 else tuple(_parse_member(row) for row in value["members"])
        host, created, objects = value["host"], value["created"], value["objects"]
        header = Header(value["timestamp"], host, created, objects, plugin, claim, mark, members)
        for field, kind in ((header.host, str), (header.created, int), (header.objects, int)):
            if type(field) is not kind:
                raise ValueError
        if members is not None and sum(member.objects for member in members) != header.objects:
            raise ValueError
    except (KeyError, RecursionError, TypeError, ValueError):
        raise BadManifest(f"{key} is not a manifest of this plugin") from None
    if not 0 <= header.created < 1 << 63 or header.timestamp != timestamp:
        raise BadManifest(f"{key} belongs to another backup")
    return header


def _parse_member(row: object) -> Member:
    if type(row) is not list or len(row) != 4 or not all(type(number) is int for number in row):
        raise ValueError
    content, packed, objects, size = row
    if content < -1 or min(packed, objects, size) < 0:
        raise ValueError
    return Member(content, 0, packed, objects, size)


class _Reading:
    """Reads gzip members, one after another, from pieces. `packed`: bytes of the members that were read."""

    def __init__(self, key: str, pieces: Iterable[bytes], budget: Budget) -> None:
        self._key = key
        # In small pieces, because zlib copies the rest of a piece with each step.
        self._pieces = (piece[at : at + _STEP] for piece in pieces for at in range(0, len(piece), _STEP))
        self._budget = budget
        self._piece = b""
        self.packed = 0

    def lines(self, longest_first: int = _LONGEST_LINE) -> Iterator[bytes]:
        """The lines of the next member. `longest_first`: bytes that the first line may have."""
        unpacking = zlib.decompressobj(wbits=GZIP)
        rest, longest, unpacked, taken = b"", longest_first, 0, 0
        while not unpacking.eof:
            self._piece = self._piece or next(self._pieces, b"")
            if not self._piece:
                raise BadManifest(f"{self._key} is damaged: it does not end where it should")
            try:
                # In small steps: a few bytes may unpack to gigabytes.
                text = unpacking.decompress(self._piece, _STEP)
            except zlib.error:
                raise BadManifest(f"{self._key} is damaged: it is no gzip file") from None
            left = unpacking.unused_data if unpacking.eof else unpacking.unconsumed_tail
            taken += len(self._piece) - len(left)
            self._piece = left
            unpacked += len(text)
            *whole, rest = (rest + text).split(b"\n")
            # A stream that takes bytes and gives none may have no end.
            is_too_large = max(unpacked, taken) > _LARGEST_MEMBER or not self._budget.spend(len(text))
            for line in whole:
                if is_too_large or len(line) > longest:
                    break
                yield line
                longest = _LONGEST_LINE
            else:
                if not is_too_large and len(rest) <= longest:
                    continue
            raise BadManifest(f"{self._key} is too large for a manifest")
        if rest:
            raise BadManifest(f"{self._key} is damaged: it does not end where it should")
        self.packed += taken

    def member(self, member: Member) -> Iterator[Entry]:
        """The entries of the next member."""
        before, size = self.packed, 0
        for entry in _parse_entries(self._key, self.lines(), member.objects, 1):
            if content_of(entry.name) != member.content:
                raise BadManifest(f"{self._key}: {entry.name} is not an object of content id {member.content}")
            size += entry.size
            yield entry
        if self.packed - before != member.packed or size != member.size:
            raise BadManifest(f"{self._key} is damaged: content id {member.content} is not what its index says")

    def require_end(self) -> None:
        """Raise BadManifest if anything follows."""
        if self._piece or next(self._pieces, b""):
            raise BadManifest(f"{self._key} is damaged: it does not end where it should")
