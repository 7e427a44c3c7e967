"""Keeps listings of a target in SQLite, as a backup may have millions of objects, too many for memory.

A Listing is kept alone, in a temporary file. A Comparison is kept beside a catalog, and compared with it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ..storage.contract import ObjectInfo
from .entries import Entry
from .temporary_database import temporary_database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

_LISTING = "CREATE TABLE listed (key BLOB PRIMARY KEY, size INT) WITHOUT ROWID"
_COMPARED_LISTING = "CREATE TEMP TABLE listed (name BLOB PRIMARY KEY, size INT, archived INT) WITHOUT ROWID"
# By kind: how many, their bytes, and the first of them. SQLite takes the other columns from the row of min().
_NAMED = """
    SELECT CASE WHEN found IS NULL THEN 'gone' WHEN found <> size THEN 'resized' WHEN archived THEN 'archived'
        ELSE 'right' END AS kind, count(*), total(size), min(name), size, coalesce(found, 0)
    FROM (SELECT object.name, object.size, listed.size AS found, listed.archived
          FROM object LEFT JOIN listed USING (name)) GROUP BY kind
"""
_NOT_NAMED = """
    SELECT CASE WHEN archived THEN 'archived_too' ELSE 'not_named' END AS kind, count(*), total(size), min(name), size,
        size FROM listed WHERE NOT EXISTS (SELECT 1 FROM object WHERE object.name = listed.name) GROUP BY kind
"""
_RIGHT = """
    SELECT object.name, object.size, crc32c FROM object JOIN listed USING (name)
    WHERE object.size = listed.size AND NOT archived ORDER BY object.name
"""


class Listing:
    """Keys and sizes of objects, sorted by key."""

    def __init__(self, database: sqlite3.Connection, objects: Iterable[ObjectInfo]) -> None:
        """Reads all of `objects` into the database."""
        self._database = database
        database.execute(_LISTING)
        rows = ((os.fsencode(info.key), info.size) for info in objects)
        database.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?)", rows)

    def objects(self) -> Iterator[ObjectInfo]:
        """All objects, with nothing but key and size."""
        for key, size in self._database.execute("SELECT key, size FROM listed ORDER BY key"):
            yield ObjectInfo(os.fsdecode(key), size)

    def find_missing(self, required: Iterable[ObjectInfo]) -> ObjectInfo | None:
        """The first of the required objects that is not listed, or has another size. None if all are right."""
        query = "SELECT 1 FROM listed WHERE key = ? AND size = ?"
        for info in required:
            if self._database.execute(query, (os.fsencode(info.key), info.size)).fetchone() is None:
                return info
        return None


@contextmanager
def store_listing(objects: Iterable[ObjectInfo]) -> Iterator[Listing]:
    """Keep a listing until the end of the context. Raises LocalFileError if this host can't keep it, and the
    StorageErrors of the listing itself.
    """
    with temporary_database("keep a listing") as database:
        yield Listing(database, objects)


class Kind(NamedTuple):
    """How many objects are of one kind, their bytes, and the first of them: its name, its size by its manifest, and its
    size by the listing.
    """

    count: int = 0  # type: ignore[assignment]  # a method of tuples, which nobody calls
    size: int = 0
    first: str = ""
    backed_up: int = 0
    listed: int = 0

    def plus(self, other: Kind) -> Kind:
        """The objects of both."""
        first = min((one for one in (self, other) if one.count), key=lambda one: one.first, default=self)
        return first._replace(count=self.count + other.count, size=self.size + other.size)


class Kinds(NamedTuple):
    """What a comparison of a catalog with a listing has found.

    `right`: objects that are listed in the size that their manifest has, and can be read; `gone`: not listed;
    `resized`: of another size; `archived`: in a manifest, and in the store's archive; `not_named`: listed, but in no
    manifest; `archived_too`: those of `not_named` that are in the archive.
    """

    right: Kind = Kind()
    gone: Kind = Kind()
    resized: Kind = Kind()
    archived: Kind = Kind()
    not_named: Kind = Kind()
    archived_too: Kind = Kind()

    def plus(self, other: Kinds) -> Kinds:
        """What two comparisons of different objects have found."""
        return Kinds(*(one.plus(two) for one, two in zip(self, other, strict=True)))


class Comparison:
    """A catalog and a listing of the same backup, or of a piece of it, compared in both directions."""

    def __init__(self, database: sqlite3.Connection, listed: Iterable[ObjectInfo], prefix: str) -> None:
        """`database`: a catalog's, open for as long as this is used. `prefix`: what the keys have before the names."""
        self._database = database
        database.execute(_COMPARED_LISTING)
        rows = ((os.fsencode(info.key[len(prefix) :]), info.size, info.archived) for info in listed)
        database.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?, ?)", rows)
        found = {
            kind: Kind(count, int(size), os.fsdecode(name), backed_up, listed_size)
            for query in (_NAMED, _NOT_NAMED)
            for kind, count, size, name, backed_up, listed_size in database.execute(query)
        }
        self.kinds = Kinds(**found)

    def right_objects(self) -> Iterator[Entry]:
        """The manifests' entries of the objects that are right, by name."""
        for name, size, crc in self._database.execute(_RIGHT):
            yield Entry(os.fsdecode(name), size, crc)

    def count_not_named(self, names: Iterable[str]) -> tuple[int, str]:
        """How many of these names no manifest has, and the first of them."""
        self._database.execute("CREATE TEMP TABLE wanted (name BLOB)")
        self._database.executemany("INSERT INTO wanted VALUES (?)", ((os.fsencode(name),) for name in names))
        query = "SELECT count(*), min(name) FROM wanted WHERE name NOT IN (SELECT name FROM object)"
        count, first = self._database.execute(query).fetchone()
        self._database.execute("DROP TABLE wanted")
        return count, os.fsdecode(first or b"")
