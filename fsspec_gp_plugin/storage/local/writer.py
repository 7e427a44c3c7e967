"""A file being written beside its place."""

from __future__ import annotations

import errno
import os
import random
import secrets
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ...errors import AlreadyExists, NotFound, StorageError
from ...keys import unfinished_key
from ..contract import FileWriter, ObjectInfo
from ..errors import translated, translating

if TYPE_CHECKING:
    from .store import LocalStore

_PIECE = 1 << 20
_CONTENTION_SECONDS = 20.0
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# What link() says on file systems that have no second name for a file.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalWriter(FileWriter):
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

    def open_file(self) -> int:
        with self._lock, translating(f"can't write {self._final}"):
            self._open()
            # One of the caller's own: abort() may close ours while the caller is still writing.
            return os.dup(self._fd)

    def failed(self, error: OSError) -> Exception:
        return translated(error, f"can't write {self._final}")

    def complete(self, size: int) -> ObjectInfo:
        with self._lock, translating(f"can't write {self._final}"):
            version = self._finish(size)
            os.rename(self._working, self._final)
            self._done = True
            sync_directory(os.path.dirname(self._final))
            return ObjectInfo(self._key, size, version)

    def create(self, data: memoryview) -> ObjectInfo:
        """Write the whole file, instead of write() and complete(), unless there is one of its name: AlreadyExists."""
        try:
            self.write(1, data)
            with self._lock, translating(f"can't create {self._final}"):
                version = self._finish(len(data))
                try:
                    if not self._link():
                        version = self._create_at_once(data)
                except FileExistsError as error:
                    raise AlreadyExists(f"can't create {self._final}: there is a file of that name") from error
                sync_directory(os.path.dirname(self._final))
                return ObjectInfo(self._key, len(data), version)
        finally:
            with suppress(StorageError):  # what stays is hidden, and found by who cleans up
                self.abort()

    def _link(self) -> bool:
        """Give the whole file its name as a second one; False where its file system has no second names."""
        try:
            os.link(self._working, self._final, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NO_LINKS:
                return False
            raise
        return True

    def _create_at_once(self, data: memoryview) -> str:
        """Under its own name, where a file can't get it when it is whole: a reader may see it short."""
        fd = os.open(self._final, _NEW, 0o600)
        try:
            while data:
                data = data[os.write(fd, data) :]
            os.fsync(fd)
            return file_version(os.fstat(fd))
        except BaseException:
            with suppress(OSError):
                os.unlink(self._final)
            raise
        finally:
            os.close(fd)

    def _finish(self, size: int) -> str:
        """Bring the working file to the disk, and close it; returns its version."""
        self._open()
        os.fsync(self._fd)
        status = os.fstat(self._fd)
        if status.st_size != size:
            raise StorageError(f"can't write {self._final}: {status.st_size} bytes arrived of {size}")
        self._check()
        fd, self._fd = self._fd, -1
        os.close(fd)  # before anything is visible: network file systems tell of failures here
        return file_version(status)

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
        deadline = time.monotonic() + _CONTENTION_SECONDS
        while self._fd < 0:
            self._check()
            try:
                self._store.make_directories(os.path.dirname(self._working))
                self._fd = os.open(self._working, _NEW, 0o600)
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


def file_version(status: os.stat_result) -> str:
    """What tells one file of a name from another."""
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def sync_directory(path: str) -> None:
    """Bring a directory's entries to the disk, where its file system can."""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
