"""Sorts entries in a temporary file, as a host may have stored millions of objects, too many for memory."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ..errors import LocalFileError
from .contents import content_of
from .entries import Entry
from .listings import CACHE_KIB, require_sqlite

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
        # Nobody reads the file after this process has ended.
        for name, value in (("cache_size", -CACHE_KIB), ("journal_mode", "OFF"), ("synchronous", "OFF")):
            database.execute(f"PRAGMA {name} = {value}")
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
    require_sqlite()
    import sqlite3

    try:
        # A file without a name, in SQLite's directory for temporary files.
        with closing(sqlite3.connect("")) as database:
            yield SortedEntries(database, entries)
    except sqlite3.Error as error:
        raise LocalFileError(f"can't sort entries in a temporary file (see SQLITE_TMPDIR): {error}") from error
