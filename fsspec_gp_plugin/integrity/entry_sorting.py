"""Sorts entries in a temporary file, as a host may have stored millions of objects, too many for memory."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .contents import content_of
from .entries import Entry
from .temporary_database import temporary_database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

_SCHEMA = """
    CREATE TABLE entry (
        content INT, name BLOB, size INT, crc32c INT, PRIMARY KEY (content, name)
    ) WITHOUT ROWID
"""


class SortedEntries:
    """The last entry of each object, sorted by content id and name."""

    def __init__(self, database: sqlite3.Connection, entries: Iterable[Entry]) -> None:
        """Reads all of `entries` into the database."""
        self._database = database
        database.execute(_SCHEMA)
        rows = ((content_of(one.name), os.fsencode(one.name), one.size, one.crc32c) for one in entries)
        database.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)", rows)

    def __len__(self) -> int:
        [(count,)] = self._database.execute("SELECT count(*) FROM entry")
        return int(count)

    def __iter__(self) -> Iterator[Entry]:
        for name, size, crc in self._database.execute("SELECT name, size, crc32c FROM entry ORDER BY content, name"):
            yield Entry(os.fsdecode(name), size, crc)


@contextmanager
def sort_entries(entries: Iterable[Entry]) -> Iterator[SortedEntries]:
    """Sort entries, and keep them until the end of the context. Raises LocalFileError if this host can't keep them."""
    with temporary_database("sort entries") as database:
        yield SortedEntries(database, entries)
