"""A catalog and a listing of the same backup, compared in both directions, in a database file of their own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from .entry import Entry

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from ..storage.contract import ObjectInfo

_SCHEMA = "CREATE TEMP TABLE listed (name BLOB PRIMARY KEY, size INT, archived INT) WITHOUT ROWID"
# By kind: how many, their bytes, and the first of them. SQLite takes the other columns from the row of min().
_NAMED = """
    SELECT CASE WHEN found IS NULL THEN 'gone' WHEN found <> size THEN 'resized' WHEN archived THEN 'archived'
        ELSE 'right' END AS kind, count(*), total(size), min(name), size, coalesce(found, 0)
    FROM (SELECT object.name, object.size, listed.size AS found, listed.archived
          FROM object LEFT JOIN listed USING (name)) GROUP BY kind
"""
_NOT_NAMED = """
    SELECT CASE WHEN archived THEN 'archived too' ELSE 'not named' END AS kind, count(*), total(size), min(name), size,
        size FROM listed WHERE NOT EXISTS (SELECT 1 FROM object WHERE object.name = listed.name) GROUP BY kind
"""
_RIGHT = """
    SELECT object.name, object.size, crc32c FROM object JOIN listed USING (name)
    WHERE object.size = listed.size AND NOT archived ORDER BY object.name
"""


class Kind(NamedTuple):
    """How many objects there are of one kind, their bytes, the first of them, its bytes by its manifest, and by the
    listing.
    """

    count: int = 0  # type: ignore[assignment]  # a method of tuples, which nobody calls
    size: int = 0
    first: str = ""
    backed_up: int = 0
    listed: int = 0


class Comparison:
    """What the manifests name and the listing has, by kind.

    `right`: it is there in its size, and can be read; `gone`; `resized`: of another size; `archived`: in a manifest and
    in the store's archive; `not_named`: there, and in no manifest; of these, `archived_too`.
    """

    def __init__(self, database: sqlite3.Connection, listed: Iterable[ObjectInfo], prefix: str) -> None:
        """Of a catalog's database, for as long as it is open. Keys begin with the prefix, which names don't have."""
        self._database = database
        database.execute(_SCHEMA)
        rows = ((os.fsencode(info.key[len(prefix) :]), info.size, info.archived) for info in listed)
        database.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?, ?)", rows)
        kinds = {
            kind: Kind(count, int(size), os.fsdecode(name), backed_up, there)
            for query in (_NAMED, _NOT_NAMED)
            for kind, count, size, name, backed_up, there in database.execute(query)
        }
        self.right = kinds.get("right", Kind())
        self.gone = kinds.get("gone", Kind())
        self.resized = kinds.get("resized", Kind())
        self.archived = kinds.get("archived", Kind())
        self.archived_too = kinds.get("archived too", Kind())
        self.not_named = kinds.get("not named", Kind())

    def objects(self) -> Iterator[Entry]:
        """Those that are right, by name."""
        for name, size, crc in self._database.execute(_RIGHT):
            yield Entry(os.fsdecode(name), size, crc)

    def first_not_named(self, names: Iterable[str]) -> tuple[int, str]:
        """How many of these names no manifest has, and the first of them."""
        self._database.execute("CREATE TEMP TABLE wanted (name BLOB)")
        self._database.executemany("INSERT INTO wanted VALUES (?)", ((os.fsencode(name),) for name in names))
        query = "SELECT count(*), min(name) FROM wanted WHERE name NOT IN (SELECT name FROM object)"
        count, first = self._database.execute(query).fetchone()
        self._database.execute("DROP TABLE wanted")
        return count, os.fsdecode(first or b"")
