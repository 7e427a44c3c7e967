"""Finds which objects a backup must have, by gpbackup's own files: its config file and its table of contents.

gpbackup stores one data object for each table and segment, whatever kind of table it is and even if it has no rows
there, but none for external and foreign tables. With a single data file it stores one for each segment, and the
segment's own table of contents. The tables with data are the data entries of `gpbackup_T_toc.yaml`; in an incremental
backup only those whose data is in this backup.

The table of contents names everything in a database, so it is read line by line and only the data entries' object
identifiers are kept: four bytes for each table, and a bit for each object while it is looked for.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from heapq import merge
from typing import TYPE_CHECKING

from ..age.header import begins_like_header
from ..errors import StorageError, Unreachable
from ..keys import backup_prefix
from ..storage.reading import fetch_start, read_rest, split_lines
from .backup_summary import read_listed_tables
from .config_reading import read_backup_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..age.opening import Opening
    from ..storage.contract import Store
    from .backup_summary import BackupSummary
    from .gpbackup_files import BackupConfig

# A search for all of them needs a bit for each.
_MOST_OBJECTS = 1_000_000_000
# Bytes of a table of contents, and its data entries: more than PostgreSQL's catalog can hold in practice.
_LARGEST_TOC = 16 << 30
_MOST_ENTRIES = 20_000_000
_SORTED_AT_ONCE = 1 << 16
_ENTRIES = b"dataentries:"
# gpbackup writes this after the data entries, in every version that writes the number of segments in its config file.
_AFTER = b"incrementalmetadata:"
_OID = re.compile(rb"(?:- |  )oid: +([0-9]{1,10})")
_KEY = re.compile(rb"[a-z]+:")
_ENTRY_LINES = (b"- ", b"   ", b"  ")
# Numbers have no leading zeros.
_DATA = re.compile(r"gpbackup_(0|[1-9][0-9]{0,4})_([0-9]{14})(?:_(0|[1-9][0-9]{0,9}))?((?:_toc)?\.[a-z]+|)")
_TOC = "_toc.yaml"


class BadContentsError(StorageError):
    """The table of contents is damaged, or not gpbackup's."""


@dataclass(frozen=True)
class Required:
    """The objects that one backup must have, by their names below the backup's prefix.

    `files`: what gprestore reads on the coordinator. `not_checked`: why the data objects are unknown, "" if they are
    known. `segments`: how many segments wrote data objects; their content ids begin with 0. `suffix`: the end of data
    objects' names. `oids`: the tables whose data is in this backup, sorted; empty with a single data file.
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
        """The name of the data object at a place, from 0 to `count` - 1. Those of content id 0 come first."""
        content, number = divmod(place, self.each)
        start = f"gpbackup_{content}_{self.timestamp}"
        if self.single_data_file:
            return start + (_TOC if number else self.suffix)
        return f"{start}_{self.oids[number]}{self.suffix}"

    def names(self) -> Iterator[str]:
        """The names of all data objects."""
        return map(self.name, range(self.count))

    def place(self, name: str) -> int | None:
        """The place of the data object with this name. None if there is no such required object."""
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


def read_required(
    store: Store,
    timestamp: str,
    summary: BackupSummary | None = None,
    find_opening: Callable[[], Opening | None] = lambda: None,
) -> tuple[BackupConfig | None, Required]:
    """Read gpbackup's config file of a backup, and find which objects the backup must have. If the config file can't be
    read, such as that of a backup which gpbackup has not made, it is None and the objects are `not_checked`. `summary`:
    that of an encrypted backup, if it was read already; `find_opening`: finds out how the files are opened where there
    is none. Raises Unreachable.
    """
    try:
        config = read_backup_config(store, timestamp, summary, find_opening)
    except Unreachable:
        raise
    except StorageError as error:
        return None, Required(timestamp, not_checked=f"not checked: {error}")
    return config, required_by_config(store, timestamp, config, find_opening)


def required_by_config(
    store: Store,
    timestamp: str,
    config: BackupConfig,
    find_opening: Callable[[], Opening | None] = lambda: None,
) -> Required:
    """Find which objects a backup must have, by gpbackup's config file."""
    ends = (
        "config.yaml",
        "metadata.sql",
        "toc.yaml",
        "report",
        *(["statistics.sql"] if config.with_statistics else []),
    )
    files = tuple(f"gpbackup_{timestamp}_{end}" for end in ends)
    if config.metadata_only:
        return Required(timestamp, files)
    if config.segments is None:
        why = "gpbackup's config file doesn't say how many segments there were, as before version 1.26"
        return Required(timestamp, files, f"not checked: {why}")
    if config.suffix is None:
        return Required(timestamp, files, "not checked: gpbackup's config file names an unknown compression")
    try:
        oids = _read_oids(store, timestamp, config, find_opening)
    except Unreachable:
        raise
    except StorageError as error:
        return Required(timestamp, files, f"not checked: {error}")
    if not oids:  # an incremental backup without changed tables
        return Required(timestamp, files)
    if config.single_data_file:
        return Required(timestamp, files, "", config.segments, config.suffix, single_data_file=True)
    if len(oids) * config.segments > _MOST_OBJECTS:
        return Required(timestamp, files, f"not checked: there are more than {_MOST_OBJECTS:,} objects")
    return Required(timestamp, files, "", config.segments, config.suffix, oids=oids)


def _read_oids(
    store: Store, timestamp: str, config: BackupConfig, find_opening: Callable[[], Opening | None]
) -> array[int]:
    """The tables with data: from the table of contents, or from the summary if that is encrypted."""
    tables = config.tables
    if tables is None:
        key = f"{backup_prefix(timestamp)}gpbackup_{timestamp}_toc.yaml"
        info, first = fetch_start(store, key)
        if info.size > _LARGEST_TOC:
            raise BadContentsError(f"{key} has {info.size} bytes: too many to be gpbackup's table of contents")
        pieces = read_rest(store, info, first)
        if begins_like_header(first) and (opening := find_opening()) is not None:
            from ..transfer.chunks import open_pieces

            pieces = open_pieces(key, opening, pieces)
        return parse_oids(key, split_lines(pieces, 128))
    if config.single_data_file and tables.total is not None:
        return array("I", range(min(tables.total, 1)))  # the data has no names of tables
    return read_listed_tables(store, timestamp, tables)


def parse_oids(key: str, text: Iterable[bytes]) -> array[int]:
    """The object identifiers of the data entries in the lines of a table of contents, sorted. Raises BadContentsError,
    which names the key.

    As in gpbackup's config file, the file's own keys begin in the first column, those of an entry in the third, and
    text over several lines, such as a name, is indented by more.
    """
    reading = _Entries()
    try:
        for line in text:
            reading.take(line)
        return reading.finish()
    except ValueError:
        raise BadContentsError(f"{key} is damaged, or not gpbackup's") from None


class _Entries:
    """The data entries, while they are read. Raises ValueError if they can't be gpbackup's."""

    def __init__(self) -> None:
        self._oids = array("I")
        self._entries = 0
        self._found = self._inside = self._ended = False

    def take(self, line: bytes) -> None:
        """Take the next line of the table of contents."""
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

    def finish(self) -> array[int]:
        """The object identifiers, each once."""
        if not self._found or not self._ended or len(self._oids) != self._entries:
            raise ValueError
        return _sorted_once(self._oids)


def _sorted_once(numbers: array[int]) -> array[int]:
    """The same numbers, sorted, each once. Needs the memory of a few thousand numbers beside the arrays."""
    pieces = [array("I", sorted(numbers[at : at + _SORTED_AT_ONCE])) for at in range(0, len(numbers), _SORTED_AT_ONCE)]
    found = array("I")
    for number in merge(*pieces):
        if not found or found[-1] != number:
            found.append(number)
    return found
