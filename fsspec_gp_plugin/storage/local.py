"""Local disk and mounted file systems. An object is written as a hidden `.part` beside its place, brought to
the disk and renamed: whole or invisible, also after a crash of the host.

The files below fsspec's: its local file object leaves the truncated object behind after an error.
Files get mode 0600 and directories 0700: a backup holds everything the database does.
"""

from __future__ import annotations

import os
import random
import secrets
import stat
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import NotFound, ObjectChanged, StorageError
from ..keys import is_unfinished, unfinished_key
from .api import Capabilities, ObjectInfo
from .errors import translated, translating
from .fallbacks import delete_each, put_by_writer, raise_failures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PIECE = 1 << 20
_CONTENTION_SECONDS = 20.0


class LocalStore:
    """Objects are files below a directory."""

    capabilities = Capabilities(parallel_parts=False, parallel_reads=False, single_request_put=False)

    def __init__(self, root: str, *, make_root: bool = True) -> None:
        """`root` is an absolute path. Without `make_root` it must exist: an empty mount point is then noticed."""
        self._root = os.path.normpath(root)
        self._make_root = make_root

    def __repr__(self) -> str:
        return f"LocalStore({self._root!r})"

    def path(self, key: str) -> str:
        """Where the object of that key lies."""
        return os.path.join(self._root, key)

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        return put_by_writer(self.begin(key), data)

    def begin(self, key: str) -> LocalWriter:
        return LocalWriter(self, key)

    def stat(self, key: str) -> ObjectInfo:
        with translating(f"can't find {self.path(key)}"):
            status = os.stat(self.path(key))
        if not stat.S_ISREG(status.st_mode):
            raise NotFound(f"can't find {self.path(key)}: it is not a file")
        return ObjectInfo(key, status.st_size, _version(status))

    def read(self, info: ObjectInfo, start: int, end: int) -> Iterator[bytes | memoryview]:
        path = self.path(info.key)
        with translating(f"can't read {path}"), open(path, "rb", buffering=0) as file:
            if info.version is not None and _version(os.fstat(file.fileno())) != info.version:
                raise ObjectChanged(f"can't read {path}: the file was replaced while it was being read")
            while start < end:
                piece = os.pread(file.fileno(), min(_PIECE, end - start), start)
                if not piece:
                    raise ObjectChanged(f"can't read {path}: the file ends at {start} bytes")
                start += len(piece)
                yield piece

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        self._require_root()
        pending = [prefix]
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(self.path(folder)) as entries:
                    found = list(entries)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise translated(error, f"can't list {self.path(folder)}") from error
            for entry in found:
                key = folder + entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(key + "/")
                elif unfinished or not is_unfinished(key):
                    with suppress(FileNotFoundError):  # renamed or deleted meanwhile
                        # A link that leads nowhere is no object, and yet something to delete.
                        yield ObjectInfo(key, entry.stat(follow_symlinks=not unfinished).st_size)

    def delete(self, keys: Iterable[str]) -> None:
        raise_failures(delete_each(keys, lambda key: os.unlink(self.path(key)), self.path))

    def delete_empty_directories(self, prefix: str) -> None:
        folder = self.path(prefix).rstrip("/")
        for path, _, _ in os.walk(folder, topdown=False):
            with suppress(OSError):  # not empty: somebody else's
                os.rmdir(path)
        self.delete_empty_parents(folder)

    def delete_empty_parents(self, path: str) -> None:
        """Remove the directories above a path, below the root, as far as they are empty."""
        folder = os.path.dirname(path)
        while folder.startswith(self._root.rstrip("/") + "/") and folder != "/":
            try:
                os.rmdir(folder)
            except OSError:
                return
            folder = os.path.dirname(folder)

    def close(self) -> None:
        pass

    def make_directories(self, folder: str) -> None:
        """Make a directory and those above it, durably and for this user only."""
        missing = []
        while not os.path.isdir(folder) and folder not in ("", "/"):
            missing.append(folder)
            folder = os.path.dirname(folder)
        if self._root in missing:
            self._require_root(may_be_made=self._make_root)
        for path in reversed(missing):
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                if os.path.islink(path) and not os.path.exists(path):
                    raise StorageError(f"{path} is a link to a directory that does not exist; mount it") from None
            sync_directory(os.path.dirname(path))

    def _require_root(self, *, may_be_made: bool = False) -> None:
        if not may_be_made and not os.path.isdir(self._root):
            raise StorageError(
                f"the directory {self._root} does not exist; mount or create it on this host, or correct `url`"
            )


class LocalWriter:
    """One file being written, part after part."""

    def __init__(self, store: LocalStore, key: str) -> None:
        """Touches nothing yet."""
        self._store = store
        self._key = key
        self._final = store.path(key)
        self._working = store.path(unfinished_key(key, secrets.token_hex(6)))
        self._fd = -1
        self._last_part = 0
        self._part_start = self._end = 0
        self._done = self._aborted = False
        self._lock = threading.Lock()

    def write(self, number: int, data: memoryview) -> None:
        with self._lock, translating(f"can't write {self._final}"):
            self._open()
            if number == self._last_part + 1:
                self._last_part, self._part_start = number, self._end
            elif number != self._last_part:
                raise StorageError(f"part {number} after part {self._last_part}")
            position = self._part_start
            while data:
                self._check()
                written = os.pwrite(self._fd, data[:_PIECE], position)
                position += written
                data = data[written:]
            self._end = position

    def complete(self, size: int) -> ObjectInfo:
        with self._lock, translating(f"can't write {self._final}"):
            self._open()
            os.fsync(self._fd)
            status = os.fstat(self._fd)
            if status.st_size != size:
                raise StorageError(f"can't write {self._final}: {status.st_size} bytes arrived of {size}")
            self._check()
            os.rename(self._working, self._final)
            self._done = True
            os.close(self._fd)
            self._fd = -1
            sync_directory(os.path.dirname(self._final))
            return ObjectInfo(self._key, size, _version(status))

    def abort(self) -> None:
        if self._done:
            return
        self._aborted = True
        # Without waiting for a write that hangs: the name goes now, the file with its descriptor.
        self._remove()
        if self._lock.acquire(timeout=1):
            try:
                if self._fd >= 0:
                    os.close(self._fd)
                    self._fd = -1
            finally:
                self._lock.release()
            self._remove()

    def _remove(self) -> None:
        try:
            with translating(f"can't remove {self._working}"):
                os.unlink(self._working)
        except NotFound:
            pass  # not made yet, or removed already
        self._store.delete_empty_parents(self._working)

    def _open(self) -> None:
        self._check()
        if self._fd >= 0:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        deadline = time.monotonic() + _CONTENTION_SECONDS
        while self._fd < 0:
            self._check()
            try:
                self._store.make_directories(os.path.dirname(self._working))
                self._fd = os.open(self._working, flags, 0o600)
            except FileNotFoundError as error:
                # Another process removed a directory, empty as it was, between two calls: all hosts of a
                # cluster probe the same target at once.
                if time.monotonic() > deadline:
                    raise StorageError(
                        f"can't write {self._final}: its directory is removed again and again"
                    ) from error
                time.sleep(random.uniform(0, 0.02))  # noqa: S311 - so that they don't meet again
        if self._aborted:
            self._remove()  # abort() came before the file was there
        self._check()

    def _check(self) -> None:
        if self._aborted:
            raise StorageError("aborted")


def _version(status: os.stat_result) -> str:
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def sync_directory(path: str) -> None:
    """Bring a directory's entries to the disk, where its file system can."""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
