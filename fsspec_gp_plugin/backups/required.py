"""What must be there of a backup, by gpbackup's own files: its record and its table of contents.

gpbackup stores one data object a table and segment, whatever kind of table it is and whether it has rows there, and
none of external and foreign tables; with a single data file, one a segment, and the segment's own table of contents.
The tables that have data are the data entries of `gpbackup_T_toc.yaml`: in an incremental backup, its own.

The table of contents names everything in a database, so it is read line by line and only the data entries' object
identifiers are kept: four bytes a table, and a bit for each object while it is looked for.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from heapq import merge
from typing import TYPE_CHECKING

from ..errors import StorageError, Unreachable
from ..keys import backup_prefix
from ..storage.reading import lines
from . import gpbackup_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..storage.contract import Store

_MOST_OBJECTS = 100_000_000
# Bytes of a table of contents, and its data entries: more than a catalog of PostgreSQL's can hold in practice.
_LARGEST_TOC = 16 << 30
_MOST_ENTRIES = 20_000_000
_SORTED_AT_ONCE = 1 << 16
_ENTRIES = b"dataentries:"
# What gpbackup writes after the data entries, in every version that writes the number of segments into its record.
_AFTER = b"incrementalmetadata:"
_OID = re.compile(rb"(?:- |  )oid: +([0-9]{1,10})")
_KEY = re.compile(rb"[a-z]+:")
_ENTRY_LINES = (b"- ", b"   ", b"  ")
# Numbers have no zeros before them.
_DATA = re.compile(r"gpbackup_(0|[1-9][0-9]{0,4})_([0-9]{14})(?:_(0|[1-9][0-9]{0,9}))?((?:_toc)?\.[a-z]+|)")
_TOC = "_toc.yaml"


class BadContentsError(StorageError):
    """The table of contents is there, and yet does not tell."""


@dataclass(frozen=True)
class Required:
    """What must be there of one backup. Names are those below the backup's prefix.

    `files`: what gprestore reads on the coordinator. `not_checked`: why the data objects can't be told, "" where they
    are. `segments`: how many wrote data objects; their content ids are 0 and so on. `suffix`: how the names of data
    objects end. `oids`: of the tables whose data is there, sorted; none with a single data file.
    """

    timestamp: str
    files: tuple[str, ...] = ()
    not_checked: str = ""
    segments: int = 0
    suffix: str = ""
    single_data_file: bool = False
    oids: array[int] = field(default_factory=lambda: array("I"))

    @property
    def each(self) -> int:
        """How many data objects each segment has."""
        return 2 if self.single_data_file else len(self.oids)

    @property
    def count(self) -> int:
        """How many data objects there are, with the segments' tables of contents."""
        return self.segments * self.each

    def name(self, place: int) -> str:
        """The name of the data object at one of the places from 0 to before `count`: those of content 0 come first."""
        content, number = divmod(place, self.each)
        start = f"gpbackup_{content}_{self.timestamp}"
        if self.single_data_file:
            return start + (_TOC if number else self.suffix)
        return f"{start}_{self.oids[number]}{self.suffix}"

    def names(self) -> Iterator[str]:
        """The names of all data objects."""
        return map(self.name, range(self.count))

    def place(self, name: str) -> int | None:
        """Where a name is in that order; None where no data object that must be there has it."""
        match = _DATA.fullmatch(name)
        if match is None or match[2] != self.timestamp or int(match[1]) >= self.segments:
            return None
        first = int(match[1]) * self.each
        if self.single_data_file:
            ends = (self.suffix, _TOC)
            return None if match[3] or match[4] not in ends else first + ends.index(match[4])
        if not match[3] or match[4] != self.suffix:
            return None
        oid = int(match[3])
        number = bisect_left(self.oids, oid)
        return first + number if number < len(self.oids) and self.oids[number] == oid else None


def packed(required: Required, chain: Iterable[str]) -> bytes:
    """All of it, and the timestamps of the backups that are looked at with it, to be kept on this host."""
    head = {
        "timestamp": required.timestamp,
        "not_checked": required.not_checked,
        "segments": required.segments,
        "suffix": required.suffix,
        "single_data_file": required.single_data_file,
        "chain": list(chain),
    }
    return json.dumps(head).encode() + b"\n" + required.oids.tobytes()


def unpacked(data: bytes) -> tuple[Required, list[str]]:
    """What packed() was given, but for the coordinator's files. ValueError, KeyError where it is damaged."""
    head, _, oids = data.partition(b"\n")
    told = json.loads(head)
    chain = [str(one) for one in told.pop("chain")]
    return Required(**told, oids=array("I", oids)), chain


def required_of(store: Store, timestamp: str) -> tuple[gpbackup_config.Record | None, Required]:
    """What gpbackup's record of a backup says, None where nothing does, as of a backup that gpbackup has not made; and
    what must be there. Where gpbackup's files are not there, can't be read or are damaged, it is `not_checked`.
    Unreachable.
    """
    try:
        told = gpbackup_config.read(store, timestamp)
    except Unreachable:
        raise
    except StorageError as error:
        return None, Required(timestamp, not_checked=f"not checked: {error}")
    return told, of_record(store, timestamp, told)


def of_record(store: Store, timestamp: str, told: gpbackup_config.Record) -> Required:
    """The same, of a backup whose record has been read."""
    ends = ("config.yaml", "metadata.sql", "toc.yaml", "report", *(["statistics.sql"] if told.with_statistics else []))
    files = tuple(f"gpbackup_{timestamp}_{end}" for end in ends)
    if told.metadata_only:
        return Required(timestamp, files)
    if told.segments is None:
        why = "gpbackup's record doesn't say how many segments there were, as before version 1.26"
        return Required(timestamp, files, f"not checked: {why}")
    if told.suffix is None:
        return Required(timestamp, files, "not checked: gpbackup's record names a compression that is not known")
    try:
        oids = _oids(store, timestamp)
    except Unreachable:
        raise
    except StorageError as error:
        return Required(timestamp, files, f"not checked: {error}")
    if not oids:  # an incremental backup to which nothing has changed
        return Required(timestamp, files)
    if told.single_data_file:
        return Required(timestamp, files, "", told.segments, told.suffix, single_data_file=True)
    if len(oids) * told.segments > _MOST_OBJECTS:
        return Required(timestamp, files, f"not checked: there are more than {_MOST_OBJECTS:,} objects")
    return Required(timestamp, files, "", told.segments, told.suffix, oids=oids)


def _oids(store: Store, timestamp: str) -> array[int]:
    key = f"{backup_prefix(timestamp)}gpbackup_{timestamp}_toc.yaml"
    info = store.stat(key)
    if info.size > _LARGEST_TOC:
        raise BadContentsError(f"{key} has {info.size} bytes: too many to be gpbackup's")
    return oids_in(key, lines(store, info, 128))


def oids_in(key: str, text: Iterable[bytes]) -> array[int]:
    """The object identifiers of the data entries in a table of contents, given its lines, sorted; BadContentsError, by
    its key.

    As in gpbackup's record: the keys of the whole begin in the first column, those of an entry in the third, and text
    that goes over several lines, such as a name, further on.
    """
    reading = _Entries()
    try:
        for line in text:
            reading.take(line)
        return reading.ended()
    except ValueError:
        raise BadContentsError(f"{key} is damaged, or not gpbackup's") from None


class _Entries:
    """The data entries, while they are read. ValueError where they can't be gpbackup's."""

    def __init__(self) -> None:
        self._oids = array("I")
        self._entries = 0
        self._found = self._inside = self._ended = False

    def take(self, line: bytes) -> None:
        """The next line of the table of contents."""
        if self._inside and line.startswith(_ENTRY_LINES):
            self._take_inside(line)
        elif line.startswith(_ENTRIES):
            rest = line[len(_ENTRIES) :].strip()
            if self._found or rest not in (b"", b"[]"):
                raise ValueError
            self._found, self._inside = True, not rest
        elif line and not line.startswith(b" "):
            if self._inside and not _KEY.match(line):
                raise ValueError
            self._inside = False
            self._ended = self._ended or line.startswith(_AFTER)

    def _take_inside(self, line: bytes) -> None:
        self._entries += line.startswith(b"- ")
        if self._entries > _MOST_ENTRIES:
            raise ValueError
        if match := _OID.fullmatch(line):
            oid = int(match[1])
            if oid >> 32 or len(self._oids) + 1 != self._entries:
                raise ValueError
            self._oids.append(oid)

    def ended(self) -> array[int]:
        """What was found, each once."""
        if not self._found or not self._ended or len(self._oids) != self._entries:
            raise ValueError
        return _sorted_once(self._oids)


def _sorted_once(numbers: array[int]) -> array[int]:
    """The same numbers, sorted, each once; the memory of a few thousand of them beside the arrays."""
    pieces = [array("I", sorted(numbers[at : at + _SORTED_AT_ONCE])) for at in range(0, len(numbers), _SORTED_AT_ONCE)]
    found = array("I")
    for number in merge(*pieces):
        if not found or found[-1] != number:
            found.append(number)
    return found
