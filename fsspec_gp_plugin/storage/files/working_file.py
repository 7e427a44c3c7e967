"""The hidden file to which one attempt at an object writes, and how the whole file gets its name."""

from __future__ import annotations

import random
import secrets
import time
from typing import TYPE_CHECKING, Any

from ...errors import NotFound, StorageError, Unreachable
from ...keys import unfinished_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from .bounded import Bounded
    from .output import Output
    from .store import FsspecStore

_CONTENTION_SECONDS = 20.0
# Before each further look at a file that may come after its request was broken off, in seconds.
_PAUSES = (0.05, 0.1, 0.2, 0.4)
# For so long it may come; then it has come before it was looked for, and is for cleaning up, or never will.
_LATE_SECONDS = 60.0

# Filesystems whose mv() is known to be one request, or one call of the system.
_ONE_REQUEST = {
    f"fsspec.implementations.{name}"
    for name in ["arrow", "dbfs", "ftp", "jupyter", "local", "sftp", "smb", "webhdfs"]
}  # fmt: skip


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


def may_copy(filesystem: Any) -> bool:
    """Whether a move may write the file at its new name bit by bit, as far as is known of that filesystem."""
    kind = _kind(filesystem)
    return _copies(kind) or not any(base.__module__ in _ONE_REQUEST for base in kind.__mro__)


def rename(fs: Bounded, working: str, final: str, place: str) -> None:
    """Give the file its name, replacing what has it. `place` stands before paths in messages.

    That is one request where the filesystem has one, else a copy. A copy that fails leaves a part of the file at the
    name, and an abandoned copy may still write to it. Raises StorageError where something may happen to that name
    later: then it must not be tried again.
    """
    copies = may_copy(fs.filesystem)
    for is_last in (False, True):
        try:
            _move(fs, working, final, place, copies=copies)
        except Exception:
            # Few of these filesystems rename onto an existing file; and what a copy has left is a part of one.
            tries_again = not is_last or copies
            if fs.is_over or not tries_again or not fs.call("exists", final) or not fs.call("exists", working):
                raise
            try:
                fs.call("rm_file", final)
            except TimeoutError as error:
                raise StorageError(f"{place}{final} was being removed, so it may still disappear") from error
            if is_last:
                raise
        else:
            return


def _move(fs: Bounded, working: str, final: str, place: str, *, copies: bool) -> None:
    # fsspec's own mv takes names for patterns, where ? and * have a meaning.
    by_hand = _copies(_kind(fs.filesystem))
    try:
        fs.call("cp_file" if by_hand else "mv", working, final, moving=fs.last_size)
    except TimeoutError as error:
        if copies:
            raise StorageError(f"{place}{final} was being written, so it may still change") from error
        raise
    if by_hand:
        fs.call("rm_file", working)


def _kind(filesystem: Any) -> type[Any]:
    from fsspec.implementations.dirfs import DirFileSystem

    while isinstance(filesystem, DirFileSystem):
        filesystem = filesystem.fs
    return type(filesystem)


def _copies(kind: type[Any]) -> bool:
    """Whether its mv() is fsspec's own, which copies and removes."""
    from fsspec import AbstractFileSystem

    return bool(kind.mv is AbstractFileSystem.mv)
