"""Reads manifests: objects beside a backup that list what one host has stored, with sizes and checksums.

A manifest consists of gzip members, one after another; `zcat` shows it. The first member is the index: one line of JSON
that describes the manifest and its other members. Each of these has the objects of one content id: a line `[name, size,
crc32c]` for each object, sorted by name. So a reader who needs one content id reads two ranges. A manifest of version 1
is one member, with the description first. That of the coordinator of an encrypted backup also has a summary of
gpbackup's files in its index, and a last member that lists the tables' oids (oid_list.py). A manifest that is read may
come from a hostile bucket, so every length has its limit. manifest_packing.py writes them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import StorageError
from . import oid_list
from .contents import content_of
from .entries import Entry, parse_entry
from .member_lines import MemberLines
from .oid_list import OidList

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator, Mapping

FORMAT = "fsspec_gp_plugin manifest"
VERSION = 2
_LONGEST_INDEX = 4 << 20
# Bytes that the manifests which one call reads may unpack to.
_LARGEST_OF_CALL = 16 << 30


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
    after the index, None for a manifest of version 1; `summary`: what it says of gpbackup's encrypted files, as JSON,
    not checked; `oids`: where it lists the tables.
    """

    timestamp: str
    host: str
    created: int
    objects: int
    plugin: str = ""
    claim: str = ""
    mark: str = ""
    members: tuple[Member, ...] | None = None
    summary: Mapping[str, Any] | None = None
    oids: OidList | None = None

    @property
    def end(self) -> int:
        """Where its last member ends in the object; 0 if it has none, or their places are not known."""
        last = self.oids or (self.members[-1] if self.members else None)
        return 0 if last is None else last.start + last.packed


class Budget:
    """How many bytes all manifests that one call reads may unpack to."""

    def __init__(self, most: int = 0) -> None:
        self._left = most or _LARGEST_OF_CALL

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
        if header.oids is not None:
            reading.oids(header.oids)
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
    members = tuple(_placed(header.members, reading.packed))
    oids = header.oids
    if oids is not None:
        oids = oids._replace(start=members[-1].start + members[-1].packed if members else reading.packed)
    return header._replace(members=members, oids=oids)


def decode_member(key: str, member: Member, pieces: Iterable[bytes], budget: Budget) -> Iterator[Entry]:
    """The entries of one member of which the bytes arrive in pieces. Raises BadManifest."""
    reading = _Reading(key, pieces, budget)
    yield from reading.member(member)
    reading.require_end()


def decode_oids(key: str, oids: OidList, pieces: Iterable[bytes]) -> array[int]:
    """The oids in the member that lists them, of which the bytes arrive in pieces. Raises BadManifest."""
    reading = _Reading(key, pieces, Budget(oid_list.LARGEST))
    found = reading.oids(oids)
    reading.require_end()
    return found


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
        summary, oids = value.get("summary"), _parse_oids_row(value.get("oids"))
        header = Header(value["timestamp"], host, created, objects, plugin, claim, mark, members, summary, oids)
        for field, kind in ((header.host, str), (header.created, int), (header.objects, int)):
            if type(field) is not kind:
                raise ValueError
        if members is not None and sum(member.objects for member in members) != header.objects:
            raise ValueError
        if not (summary is None or type(summary) is dict) or (oids is not None and members is None):
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


def _parse_oids_row(row: object) -> OidList | None:
    if row is None:
        return None
    if type(row) is not list or len(row) != 2 or not all(type(number) is int for number in row):
        raise ValueError
    count, packed = row
    if not 0 <= count <= oid_list.MOST or packed < 0:
        raise ValueError
    return OidList(0, packed, count)


class _Reading(MemberLines):
    """Reads the members of one manifest."""

    def __init__(self, key: str, pieces: Iterable[bytes], budget: Budget) -> None:
        super().__init__(pieces, budget.spend, lambda words: BadManifest(f"{key} {words}"))
        self._key = key

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

    def oids(self, oids: OidList) -> array[int]:
        """The oids that the next member lists."""
        before = self.packed
        try:
            found = oid_list.parse(self.lines(), oids.oids)
        except ValueError:
            found = None
        if found is None or self.packed - before != oids.packed:
            raise BadManifest(f"{self._key} is damaged: its list of oids is not what its index says")
        return found
