"""What a target lists, kept in a temporary file: a backup may have millions of objects, too many for memory."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ..errors import LocalFileError
from ..storage.contract import ObjectInfo
from .catalog import require_sqlite

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

# SQLite's own cache is too small for a listing that is not sorted, as that of a disk.
_CACHE_KIB = 16 << 10
_SCHEMA = "CREATE TABLE listed (key BLOB PRIMARY KEY, size INT) WITHOUT ROWID"


class Listing:
    """Keys and sizes of objects, by key."""

    def __init__(self, database: sqlite3.Connection, objects: Iterable[ObjectInfo]) -> None:
        """All of the objects are read."""
        self._database = database
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # Nobody reads it after this process.
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(_SCHEMA)
        rows = ((os.fsencode(info.key), info.size) for info in objects)
        database.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?)", rows)

    def objects(self) -> Iterator[ObjectInfo]:
        """All of them, with nothing but key and size."""
        for key, size in self._database.execute("SELECT key, size FROM listed ORDER BY key"):
            yield ObjectInfo(os.fsdecode(key), size)

    def first_lacking(self, wanted: Iterable[ObjectInfo]) -> ObjectInfo | None:
        """Of the objects that are wanted one that is not listed in its size; None where all are."""
        query = "SELECT 1 FROM listed WHERE key = ? AND size = ?"
        for info in wanted:
            if self._database.execute(query, (os.fsencode(info.key), info.size)).fetchone() is None:
                return info
        return None


@contextmanager
def kept(objects: Iterable[ObjectInfo]) -> Iterator[Listing]:
    """A listing, until the end of the context. LocalFileError where this host can't keep it; StorageErrors of those
    who list.
    """
    require_sqlite()
    import sqlite3

    try:
        # A file without a name, in SQLite's directory for temporary ones.
        with closing(sqlite3.connect("")) as database:
            yield Listing(database, objects)
    except sqlite3.Error as error:
        raise LocalFileError(f"can't keep a listing in a temporary file (see SQLITE_TMPDIR): {error}") from error
