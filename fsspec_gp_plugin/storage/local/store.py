"""Local disk and mounted file systems. An object is written as a hidden `.part` in its directory, brought to the disk
and renamed: whole or invisible, also after a crash of the host.

It exists because fsspec's local file object leaves a truncated object after an error, and the kernel can't copy to it.
Files get mode 0600 and directories 0700: a backup holds everything that the database holds.
"""

from __future__ import annotations

import errno
import os
import random
import secrets
import stat
import threading
import time
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...errors import AlreadyExists, ConfigError, NotFound, ObjectChanged, StorageError, Unreachable
from ...keys import is_unfinished, unfinished_key
from ..contract import Capabilities, FileStore, FileWriter, ObjectInfo, Page
from ..error_translation import translated, translating
from ..fallbacks import delete_each, put_by_writer, raise_failures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PIECE = 1 << 20
_ENTRIES_A_PAGE = 1000
_CONTENTION_SECONDS = 20.0
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Errors of link() on file systems that have no second name for a file.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalStore(FileStore):
    """Objects are files below a directory."""

    capabilities = Capabilities(
        parallel_parts=False,
        parallel_reads=False,
        lists_by_prefix=False,
        single_request_put=False,
        creates=True,
    )

    def __init__(self, root: str, *, make_root: bool = True) -> None:
        """`root` is an absolute path. Without `make_root` it is never made, so that an empty mount point is noticed."""
        self._root = os.path.normpath(root)
        self._may_make_root = make_root

    def __repr__(self) -> str:
        return f"LocalStore({self._root!r})"

    @property
    def files(self) -> LocalStore:
        return self

    def path(self, key: str) -> str:
        """The path of an object."""
        return os.path.join(self._root, key)

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        return put_by_writer(self.begin(key), data)

    def create(self, key: str, data: memoryview) -> ObjectInfo:
        return LocalWriter(self, key).create(data)

    def begin(self, key: str) -> LocalWriter:
        return LocalWriter(self, key)

    def stat(self, key: str) -> ObjectInfo:
        with translating(f"can't find {self.path(key)}"):
            status = os.stat(self.path(key))
        if not stat.S_ISREG(status.st_mode):
            raise NotFound(f"can't find {self.path(key)}: it is not a file")
        return ObjectInfo(key, status.st_size, _file_version(status))

    def read(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        fd = self.open_file(info)
        try:
            with translating(f"can't read {self.path(info.key)}"):
                while into:
                    count = os.preadv(fd, [into[:_PIECE]], start)
                    if not count:
                        raise ObjectChanged(f"can't read {self.path(info.key)}: the file ends at {start} bytes")
                    start += count
                    into = into[count:]
                    yield count
        finally:
            os.close(fd)

    def open_file(self, info: ObjectInfo) -> int:
        path = self.path(info.key)
        with translating(f"can't read {path}"):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if info.version is not None and _file_version(os.fstat(fd)) != info.version:
            os.close(fd)
            raise ObjectChanged(f"can't read {path}: the file was replaced while it was being read")
        return fd

    def list_pages(self, prefix: str, *, shallow: bool = False, unfinished: bool = False) -> Iterator[Page]:
        self._require_root()
        pending = [prefix[: prefix.rfind("/") + 1]]
        while pending:
            folder = pending.pop()
            for entries in self._batches(folder, prefix):
                objects, folders = [], []
                for entry in entries:
                    key = folder + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(key + "/")
                    elif unfinished or not is_unfinished(key):
                        objects += _listed(entry, key, unfinished=unfinished)
                if not shallow:
                    pending += folders
                yield Page(objects, folders if shallow else ())

    def _batches(self, folder: str, prefix: str) -> Iterator[list[os.DirEntry[str]]]:
        """The entries of a directory that may be wanted, some at a time: a directory may have millions."""
        try:
            with os.scandir(self.path(folder)) as entries:
                wanted = (entry for entry in entries if f"{folder}{entry.name}/".startswith(prefix))
                while batch := list(islice(wanted, _ENTRIES_A_PAGE)):
                    yield batch
        except FileNotFoundError:
            return
        except OSError as error:
            raise translated(error, f"can't list {self.path(folder)}") from error

    def delete(self, keys: Iterable[str]) -> None:
        raise_failures(delete_each(keys, lambda key: os.unlink(self.path(key)), self.path))

    def delete_empty_directories(self, prefix: str) -> None:
        folder = self.path(prefix).rstrip("/")
        for path, _, _ in os.walk(folder, topdown=False):
            with suppress(OSError):  # not empty: others use it
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

    def make_root(self) -> None:
        if self._may_make_root:
            with translating(f"can't make the directory {self._root}"):
                _make_durably(self._root)
        self._require_root()

    def make_directories(self, folder: str) -> None:
        """Make a directory below the root, and those between, durably and for this user only. Raises Unreachable
        without the root: objects below an empty mount point are invisible to all other hosts.
        """
        self._require_root()
        _make_durably(folder)

    def _require_root(self) -> None:
        if not os.path.isdir(self._root):
            _require_no_dead_link(self._root)
            raise Unreachable(
                f"the directory {self._root} does not exist; mount or create it on this host, or correct `url`"
            )


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
            # The caller gets a descriptor of its own: abort() may close this one while the caller is still writing.
            return os.dup(self._fd)

    def failed(self, error: OSError) -> Exception:
        return translated(error, f"can't write {self._final}")

    def complete(self, size: int) -> ObjectInfo:
        with self._lock, translating(f"can't write {self._final}"):
            version = self._finish(size)
            os.rename(self._working, self._final)
            self._done = True
            _sync_directory(os.path.dirname(self._final))
            return ObjectInfo(self._key, size, version)

    def create(self, data: memoryview) -> ObjectInfo:
        """Write the whole file, instead of write() and complete(). Raises AlreadyExists if there is one."""
        try:
            self.write(1, data)
            with self._lock, translating(f"can't create {self._final}"):
                version = self._finish(len(data))
                try:
                    if not self._link():
                        version = self._create_at_once(data)
                except FileExistsError as error:
                    raise AlreadyExists(f"can't create {self._final}: there is a file of that name") from error
                _sync_directory(os.path.dirname(self._final))
                return ObjectInfo(self._key, len(data), version)
        finally:
            with suppress(StorageError):  # a file that stays is hidden, and cleaning up removes it
                self.abort()

    def _link(self) -> bool:
        """Give the whole file its name as a second one. False if its file system has no second names."""
        try:
            os.link(self._working, self._final, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NO_LINKS:
                return False
            raise
        return True

    def _create_at_once(self, data: memoryview) -> str:
        """Write the file under its own name, where it can't get the name later: a reader may see a part of it."""
        fd = os.open(self._final, _NEW, 0o600)
        try:
            while data:
                data = data[os.write(fd, data) :]
            os.fsync(fd)
            return _file_version(os.fstat(fd))
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
        os.close(fd)  # before anything is visible: network file systems report failures here
        return _file_version(status)

    def abort(self) -> None:
        if self._done:
            return
        self._aborted = True
        # A write may hang, so the name is removed at once; the file goes with its descriptor.
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


def _make_durably(folder: str) -> None:
    missing = []
    while not os.path.isdir(folder) and folder not in ("", "/"):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            _require_no_dead_link(path)
        _sync_directory(os.path.dirname(path))


def _require_no_dead_link(path: str) -> None:
    if os.path.islink(path) and not os.path.exists(path):
        raise Unreachable(f"{path} is a link to a directory that does not exist; mount it")


def _file_version(status: os.stat_result) -> str:
    """A text that differs for each file that has had a name."""
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def _sync_directory(path: str) -> None:
    """Bring a directory's entries to the disk, where its file system can."""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _listed(entry: os.DirEntry[str], key: str, *, unfinished: bool) -> list[ObjectInfo]:
    """The object of a directory's entry; nothing if it has been renamed or deleted meanwhile."""
    try:
        # A dead link is no object, but must be deleted.
        status = entry.stat(follow_symlinks=not unfinished)
    except FileNotFoundError:
        return []
    except OSError as error:
        if error.errno == errno.ELOOP:
            return []
        raise translated(error, f"can't list {entry.path}") from error
    return [ObjectInfo(key, status.st_size, modified=status.st_mtime)]


def open_local(url: str, options: dict[str, Any], timeout: float) -> LocalStore:
    """Return the store below the URL's directory. Raises ConfigError where URL and options can't work."""
    del timeout  # a system call on a file has none
    path = url.partition("://")[2]
    if not path.startswith("/"):
        raise ConfigError(f"url {url!r} must hold an absolute path: file:///directory")
    for name in options:
        if name != "auto_mkdir":
            raise ConfigError(f"storage_options: file:// knows no option {name!r}, only auto_mkdir")
    make_root = options.get("auto_mkdir", True)
    if not isinstance(make_root, bool):
        raise ConfigError("storage_options: auto_mkdir must be true or false")
    return LocalStore(path, make_root=make_root)
