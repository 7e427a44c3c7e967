"""Keeps the entries of all manifests of a backup that is being restored in a database file on this host.

Any segment may need any object, and millions of entries are too many for the memory of each process.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import private
from ..errors import LocalFileError
from .catalog_files import DIRECTORY, SUFFIX
from .entries import Entry
from .listings import Comparison
from .locking import try_lock
from .merging import merge
from .temporary_database import require_sqlite

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType

    from ..private import Place
    from ..storage.contract import ObjectInfo
    from .merging import Manifest

# The names of all objects that gpbackup stores begin so.
_GPBACKUPS = b"gpbackup_"


class Difference(NamedTuple):
    """How many objects of how many a listing lacks or has in another size, and the first of them. `backed_up`: its size
    by its manifest; `size`: by the listing, None if it is not listed.
    """

    missing: int
    total: int
    name: str
    backed_up: int
    size: int | None


class Catalog:
    """The catalog of one backup at one target, on this host."""

    def __init__(self, place: Place, timestamp: str, purpose: str = "", *, make: bool = False) -> None:
        """Catalogs of different purposes are different files. Raises NoDirectoryError if no catalog was ever made here,
        unless `make` is set; LocalFileError.
        """
        self._name = f"{place.name_of(timestamp)}{purpose}{SUFFIX}"
        self._path = os.path.join(place.path, DIRECTORY, self._name)
        self._directory = place.open_directory(DIRECTORY, make=make)

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._directory)

    def build(self, source: str, manifests: Callable[[], Iterable[Manifest]], claim: str = "") -> int:
        """Make the catalog of these manifests, unless it was made of the same `source`, a text that names them. Returns
        the number of objects. The new catalog replaces the old one when it is whole. `claim`: as in merge(). Raises
        LocalFileError, BadManifest.
        """
        require_sqlite()
        if (count := self._count(source)) is not None:
            return count
        working = f".{self._name}.{secrets.token_hex(6)}.part"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(working, flags, 0o600, dir_fd=self._directory))
            try:
                count = self._fill(working, source, manifests, claim)
                os.rename(working, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
            except BaseException:
                os.unlink(working, dir_fd=self._directory)
                raise
        except OSError as error:
            raise self._failed("write", error) from error
        return count

    def _fill(self, working: str, source: str, manifests: Callable[[], Iterable[Manifest]], claim: str) -> int:
        import sqlite3

        try:
            with closing(self._connection(working, "rw")) as database:
                # The file is renamed when it is whole, so SQLite needs no journal.
                database.execute("PRAGMA journal_mode = OFF")
                database.execute("PRAGMA synchronous = OFF")
                count = merge(database, manifests, claim)
                with database:
                    database.execute("CREATE TABLE source (text TEXT)")
                    database.execute("INSERT INTO source VALUES (?)", (source,))
        except sqlite3.Error as error:
            raise self._failed("write", error) from error
        return count

    def _count(self, source: str) -> int | None:
        """How many objects the catalog has. None if it was not made of this source."""
        with suppress(LocalFileError):
            for (count,) in self._rows("SELECT (SELECT count(*) FROM object) FROM source WHERE text = ?", source):
                return int(count)
        return None

    def entry(self, name: str) -> Entry | None:
        """The entry of an object. None if no manifest names it, or there is no catalog. Raises LocalFileError."""
        query = "SELECT name, size, crc32c FROM object WHERE name = ?"
        return next((Entry(name, size, crc) for _, size, crc in self._rows(query, os.fsencode(name))), None)

    def entries(self, start: str = "") -> Iterator[Entry]:
        """All entries whose names begin with `start`, by name. Raises LocalFileError."""
        between = (os.fsencode(start), os.fsencode(start) + b"\xff")
        query = "SELECT name, size, crc32c FROM object WHERE name >= ? AND name < ? ORDER BY name"
        for name, size, crc in self._rows(query, *between):
            yield Entry(os.fsdecode(name), size, crc)

    def difference(self, start: str, listed: Iterable[tuple[str, int]]) -> Difference | None:
        """Compare the entries whose names begin with `start` with a listing of names and sizes. None if nothing
        differs. What else is listed does not matter. Raises LocalFileError.
        """
        return self.compare(start, listed)[0]

    def compare(self, start: str, listed: Iterable[tuple[str, int]]) -> tuple[Difference | None, int]:
        """Same as difference(), and how many of gpbackup's objects are listed, but in no manifest."""
        between = (os.fsencode(start), os.fsencode(start) + b"\xff")
        query = """
            SELECT unnamed, different.* FROM (
                SELECT count(*) AS unnamed FROM listed
                WHERE name >= ? AND name < ? AND NOT EXISTS (SELECT 1 FROM object WHERE object.name = listed.name)
            ) LEFT JOIN (
                SELECT count(*) OVER (), (SELECT count(*) FROM object WHERE name >= ? AND name < ?), name, size, found
                FROM (SELECT object.name, object.size, listed.size AS found FROM object LEFT JOIN listed USING (name)
                      WHERE name >= ? AND name < ?)
                WHERE found IS NULL OR found <> size ORDER BY name LIMIT 1
            ) AS different ON 1
        """
        values = (_GPBACKUPS, _GPBACKUPS + b"\xff", *between, *between)
        for unnamed, count, total, name, size, found in self._rows(query, *values, listed=listed):
            return count and Difference(count, total, os.fsdecode(name), size, found), unnamed
        return None, 0

    @contextmanager
    def open_comparison(self, listed: Iterable[ObjectInfo], prefix: str) -> Iterator[Comparison]:
        """Compare the catalog with a listing of all objects below the backup's prefix. Raises LocalFileError."""
        import sqlite3

        try:
            with closing(self._connection(self._name, "ro")) as database:
                yield Comparison(database, listed, prefix)
        except sqlite3.Error as error:
            raise self._failed("read", error) from error

    def has(self, start: str) -> bool:
        """Whether any entry's name begins with `start`."""
        first = os.fsencode(start)
        return any(
            True
            for _ in self._rows("SELECT 1 FROM object WHERE name >= ? AND name < ? LIMIT 1", first, first + b"\xff")
        )

    def exists(self) -> bool:
        """Whether the catalog was made."""
        try:
            os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def is_younger(self, seconds: float) -> bool:
        """Whether the catalog was made, or touched, less than so many seconds ago."""
        with suppress(FileNotFoundError):
            status = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
            return abs(time.time() - status.st_mtime) < seconds
        return False

    def touch(self) -> None:
        """Let the catalog count as made now."""
        with suppress(FileNotFoundError):
            os.utime(self._name, dir_fd=self._directory, follow_symlinks=False)

    def lock(self) -> AbstractContextManager[None] | None:
        """Lock the catalog for building it, until the end of the context. None if another process or thread has the
        lock. Raises LocalFileError.
        """
        try:
            return try_lock(self._directory, self._lock_name)
        except OSError as error:
            raise self._failed("lock", error) from error

    def sweep(self) -> None:
        """Remove catalogs that nobody has written to for a month."""
        private.sweep(self._directory)

    def remove(self) -> None:
        """Remove the catalog and its lock."""
        for name in (self._name, self._lock_name):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._directory)

    @property
    def _lock_name(self) -> str:
        return f"{self._name}.lock"

    def _rows(self, query: str, *values: object, listed: Iterable[tuple[str, int]] | None = None) -> Iterator[Any]:
        if not self.exists():
            return
        import sqlite3

        try:
            with closing(self._connection(self._name, "ro")) as database:
                if listed is not None:
                    database.execute("CREATE TEMP TABLE listed (name BLOB PRIMARY KEY, size INT) WITHOUT ROWID")
                    rows = ((os.fsencode(name), size) for name, size in listed)
                    database.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?)", rows)
                yield from database.execute(query, values)
        except sqlite3.Error as error:
            if self.exists():  # otherwise another restore of this backup has just ended, and removed it
                raise self._failed("read", error) from error

    def _failed(self, what: str, error: Exception) -> LocalFileError:
        return LocalFileError(f"can't {what} {self._path}: {error}")

    def _connection(self, name: str, mode: str) -> sqlite3.Connection:
        import sqlite3

        path = f"file:/proc/self/fd/{self._directory}/{name}?mode={mode}"
        return sqlite3.connect(path + ("&immutable=1" if mode == "ro" else ""), uri=True)
