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
# Seconds before each further attempt to remove a file that may appear after its request was broken off.
_PAUSES = (0.05, 0.1, 0.2, 0.4)
# Seconds in which it may appear. After that it has appeared earlier, and cleaning up removes it, or it never will.
_APPEARS_SECONDS = 60.0

# Filesystems whose mv() is known to be one request, or one call of the system.
_ONE_REQUEST = {
    f"fsspec.implementations.{name}"
    for name in ["arrow", "dbfs", "ftp", "jupyter", "local", "sftp", "smb", "webhdfs"]
}  # fmt: skip


class WorkingFile:
    """A file in the object's directory, whose name no other attempt uses."""

    def __init__(self, store: FsspecStore, key: str) -> None:
        """Touches nothing yet."""
        self._store = store
        self.path = store.path(unfinished_key(key, secrets.token_hex(6)))
        # Whether it may be there, and whether that is unknown: it may then appear later.
        self.created = self.unanswered = False
        self._awaited_until = 0.0

    def create(self, fs: Any, check: Callable[[], None], doing: str) -> Output:
        """Make the empty file and open it. `check` is called before each attempt, and may raise."""
        dialect = self._store.dialect
        directory = self.path.rpartition("/")[0]
        deadline = time.monotonic() + _CONTENTION_SECONDS
        make = dialect.directories_first
        while True:
            check()
            try:
                if make:
                    dialect.make_directories(fs, directory)
                # If the answer is lost, it may be there now or later.
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
        """Remove it if it may be there. Raises NotFound if it is not, StorageError if it may still appear."""
        pauses = iter(_PAUSES if self._store.dialect.may_appear_later else ())
        while self.created:
            try:
                self._remove_now()
            except NotFound:
                if self.unanswered:
                    raise StorageError(f"{self.path} was being made, so it may still appear") from None
                if (pause := next(pauses, None)) is None:
                    if self._store.dialect.may_appear_later:
                        self._awaited_until = time.monotonic() + _APPEARS_SECONDS
                        self._store.await_appearance(self)
                    raise
                time.sleep(pause)

    def remove_if_appeared(self) -> bool:
        """Try once to remove a file that remove() did not find; returns whether it may still appear. Raises Unreachable
        where the server can't be reached.
        """
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
            # Few of these filesystems rename onto an existing file; and a copy that failed leaves a part of one.
            tries_again = not is_last or copies
            if fs.is_closed or not tries_again or not fs.call("exists", final) or not fs.call("exists", working):
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
