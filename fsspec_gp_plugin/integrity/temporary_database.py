"""A database in a temporary file, for what may be too much for memory."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ..errors import LocalFileError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

_OLDEST_SQLITE = (3, 25)
# SQLite's own cache is too small for rows that don't come sorted, such as a disk's listing.
_CACHE_KIB = 16 << 10


def require_sqlite() -> None:
    """Check that this Python has an SQLite that restores can use to compare. Raises LocalFileError."""
    try:
        import sqlite3
    except ImportError:
        raise LocalFileError("this Python has no sqlite3, which restores need to compare checksums") from None
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise LocalFileError(f"SQLite {sqlite3.sqlite_version} is too old for comparing checksums: 3.25 is needed")


@contextmanager
def temporary_database(what: str) -> Iterator[sqlite3.Connection]:
    """A database until the end of the context. Raises LocalFileError, which says that this host can't do `what`."""
    require_sqlite()
    import sqlite3

    try:
        # A file without a name, in SQLite's directory for temporary files.
        with closing(sqlite3.connect("")) as database:
            # Nobody reads the file after this process has ended.
            for name, value in (("cache_size", -_CACHE_KIB), ("journal_mode", "OFF"), ("synchronous", "OFF")):
                database.execute(f"PRAGMA {name} = {value}")
            yield database
    except sqlite3.Error as error:
        raise LocalFileError(f"can't {what} in a temporary file (see SQLITE_TMPDIR): {error}") from error
