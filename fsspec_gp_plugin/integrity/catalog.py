"""The manifests of a backup that is being restored, all hosts' together, as a database file on this host.

Any segment may ask for any object, and millions of entries are too many for the memory of a process per table.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from .. import private
from ..errors import LocalFileError
from .entry import Entry
from .manifest import Header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

_DIRECTORY = "manifests"
_SUFFIX = ".db"
_BATCH = 10_000
# Of an object that two manifests name, as after a backup's second attempt, the later one counts.
_INSERT = """
    INSERT INTO object VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE
    SET size = excluded.size, crc32c = excluded.crc32c, created = excluded.created
    WHERE excluded.created >= created
"""


class Catalog:
    """One backup's catalog at one target, on this host."""

    def __init__(self, url: str, timestamp: str, purpose: str = "", *, make: bool = False) -> None:
        """LocalFileError where there can be none, as where there is no directory and `make` doesn't want one. Catalogs
        of another `purpose` are others.
        """
        self._name = f"{private.name_of(url, timestamp)}{purpose}{_SUFFIX}"
        self._directory = private.open_directory(_DIRECTORY, make=make)

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._directory)

    def build(self, manifests: Iterable[Iterable[Header | Entry]]) -> int:
        """Make it anew of manifests, as manifest.decoded() gives them; returns the number of objects."""
        working = f".{self._name}.{secrets.token_hex(6)}.part"
        try:
            os.close(
                os.open(working, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._directory)
            )
            try:
                count = self._fill(working, manifests)
                os.rename(working, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
            except BaseException:
                os.unlink(working, dir_fd=self._directory)
                raise
        except (OSError, sqlite3.Error) as error:
            raise LocalFileError(f"can't write ~/.fsspec_gp_plugin/{_DIRECTORY}/{self._name}: {error}") from error
        return count

    def _fill(self, working: str, manifests: Iterable[Iterable[Header | Entry]]) -> int:
        with closing(self._connection(working, "rw")) as database:
            # It is renamed when it is whole, so it needs no journal of its own.
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("PRAGMA synchronous = OFF")
            database.execute(
                "CREATE TABLE object (name BLOB PRIMARY KEY, size INT, crc32c INT, created INT) WITHOUT ROWID"
            )
            for one in manifests:
                with database:
                    _add(database, one)
            (count,) = database.execute("SELECT count(*) FROM object").fetchone()
        return int(count)

    def entry(self, name: str) -> Entry | None:
        """What the manifests say of an object; None when they don't name it, or there is no catalog. LocalFileError."""
        found = list(self._selected("name = ?", os.fsencode(name)))
        return found[0] if found else None

    def entries(self, start: str = "") -> Iterator[Entry]:
        """Those whose name begins so, in no particular order; LocalFileError."""
        first = os.fsencode(start)
        return self._selected("name >= ? AND name < ?", first, first + b"\xff")

    def exists(self) -> bool:
        """Whether there is one."""
        try:
            os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def remove(self) -> None:
        """Forget it, and those that nobody has removed for a month."""
        with suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=self._directory)
        private.sweep(self._directory)

    def _selected(self, condition: str, *values: object) -> Iterator[Entry]:
        if not self.exists():
            return
        try:
            with closing(self._connection(self._name, "ro")) as database:
                query = f"SELECT name, size, crc32c FROM object WHERE {condition}"  # noqa: S608 - ours, see above
                for name, size, crc in database.execute(query, values):
                    yield Entry(os.fsdecode(name), size, crc)
        except sqlite3.Error as error:
            raise LocalFileError(f"can't read ~/.fsspec_gp_plugin/{_DIRECTORY}/{self._name}: {error}") from error

    def _connection(self, name: str, mode: str) -> sqlite3.Connection:
        path = f"file:/proc/self/fd/{self._directory}/{name}?mode={mode}"
        return sqlite3.connect(path + ("&immutable=1" if mode == "ro" else ""), uri=True)


def _add(database: sqlite3.Connection, manifest: Iterable[Header | Entry]) -> None:
    batch: list[tuple[bytes, int, int, int]] = []
    created = 0
    for one in manifest:
        if isinstance(one, Header):
            created = one.created
            continue
        batch.append((os.fsencode(one.name), one.size, one.crc32c, created))
        if len(batch) == _BATCH:
            database.executemany(_INSERT, batch)
            batch.clear()
    database.executemany(_INSERT, batch)
