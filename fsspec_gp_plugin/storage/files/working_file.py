"""The hidden file that one attempt at an object writes to."""

from __future__ import annotations

import random
import secrets
import time
from typing import TYPE_CHECKING, Any

from ...errors import NotFound, StorageError, Unreachable
from ...keys import unfinished_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from .output import Output
    from .store import FsspecStore

_CONTENTION_SECONDS = 20.0
# Before each further look at a file that may come after its request was broken off, in seconds.
_PAUSES = (0.05, 0.1, 0.2, 0.4)
# For so long it may come; then it has come before it was looked for, and is for cleaning up, or never will.
_LATE_SECONDS = 60.0


class WorkingFile:
    """A file beside the object's place, of a name that no other attempt has."""

    def __init__(self, store: FsspecStore, key: str) -> None:
        """Touches nothing yet."""
        self._store = store
        self.path = store.path(unfinished_key(key, secrets.token_hex(6)))
        # Whether it may be there, and whether nobody knows if it is: it may then come later.
        self.created = self.unanswered = False
        self._awaited_until = 0.0

    def create(self, fs: Any, check: Callable[[], None], doing: str) -> Output:
        """The file, open and empty, on that connection. `check` is called before each attempt, and may raise."""
        dialect = self._store.dialect
        directory = self.path.rpartition("/")[0]
        deadline = time.monotonic() + _CONTENTION_SECONDS
        make = dialect.directories_first
        while True:
            check()
            try:
                if make:
                    dialect.make_directories(fs, directory)
                # Or it may be, now or later: a lost answer does not tell.
                self.created = self.unanswered = True
                output = dialect.create(fs, self.path)
                self.unanswered = False
                return output
            except FileNotFoundError:
                # Another process removed a directory, empty as it was, between two calls: all hosts of a
                # cluster probe the same target at once.
                self.created = self.unanswered = False
                if time.monotonic() > deadline:
                    raise StorageError(f"{doing}: its directory is removed again and again") from None
                if make:
                    time.sleep(random.uniform(0, 0.02))  # noqa: S311 - so that they don't meet again
                make = True

    def remove(self) -> None:
        """Remove it if it may be there: NotFound if it is not, StorageError if it may still come."""
        pauses = iter(_PAUSES if self._store.dialect.creates_late else ())
        while self.created:
            try:
                self._remove_now()
            except NotFound:
                if self.unanswered:
                    raise StorageError(f"{self.path} was being made, so it may still appear") from None
                if (pause := next(pauses, None)) is None:
                    if self._store.dialect.creates_late:
                        self._awaited_until = time.monotonic() + _LATE_SECONDS
                        self._store.await_late(self)
                    raise
                time.sleep(pause)

    def remove_late(self) -> bool:
        """Look once for a file that remove() has not found; returns whether it may still come. May be Unreachable."""
        try:
            self._remove_now()
        except NotFound:
            return time.monotonic() < self._awaited_until
        except Unreachable:
            raise
        except StorageError:
            pass  # it is there, and cleaning up finds it
        return False

    def _remove_now(self) -> None:
        with self._store.connections.lease(f"can't remove {self._store.dialect.place}{self.path}") as fs:
            self._store.dialect.remove(fs, self.path)
        self.created = False
