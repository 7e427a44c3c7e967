"""Local disk and mounted file systems. An object is written as a hidden `.part` beside its place, brought to
the disk and renamed: whole or invisible, also after a crash of the host.

The files below fsspec's: its local file object leaves the truncated object behind after an error.
Files get mode 0600 and directories 0700: a backup holds everything the database does.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from ...errors import NotFound, ObjectChanged, Unreachable
from ...keys import is_unfinished
from ..contract import Capabilities, FileStore, ObjectInfo
from ..errors import translated, translating
from ..fallbacks import delete_each, put_by_writer, raise_failures
from .writer import LocalWriter, file_version, sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PIECE = 1 << 20


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
        """`root` is an absolute path. Without `make_root` nothing makes it: an empty mount point is then noticed."""
        self._root = os.path.normpath(root)
        self._may_make_root = make_root

    def __repr__(self) -> str:
        return f"LocalStore({self._root!r})"

    @property
    def files(self) -> LocalStore:
        return self

    def path(self, key: str) -> str:
        """Where the object of that key lies."""
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
        return ObjectInfo(key, status.st_size, file_version(status))

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
        if info.version is not None and file_version(os.fstat(fd)) != info.version:
            os.close(fd)
            raise ObjectChanged(f"can't read {path}: the file was replaced while it was being read")
        return fd

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        self._require_root()
        pending = [prefix[: prefix.rfind("/") + 1]]
        while pending:
            folder = pending.pop()
            for entry in self._entries(folder, prefix):
                key = folder + entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(key + "/")
                elif unfinished or not is_unfinished(key):
                    try:
                        # A link that leads nowhere is no object, and yet something to delete.
                        status = entry.stat(follow_symlinks=not unfinished)
                    except FileNotFoundError:  # also renamed or deleted meanwhile
                        continue
                    except OSError as error:
                        if error.errno == errno.ELOOP:
                            continue
                        raise translated(error, f"can't list {entry.path}") from error
                    yield ObjectInfo(key, status.st_size, modified=status.st_mtime)

    def _entries(self, folder: str, prefix: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.path(folder)) as entries:
                return [entry for entry in entries if f"{folder}{entry.name}/".startswith(prefix)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise translated(error, f"can't list {self.path(folder)}") from error

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

    def way(self) -> None:
        """A network file system's is not ours to know."""

    def close(self) -> None:
        pass

    def make_root(self) -> None:
        if self._may_make_root:
            with translating(f"can't make the directory {self._root}"):
                _make_durably(self._root)
        self._require_root()

    def make_directories(self, folder: str) -> None:
        """Make a directory below the root, and those between, durably and for this user only. Unreachable without the
        root: what is written below an empty mount point is lost to all other hosts.
        """
        self._require_root()
        _make_durably(folder)

    def _require_root(self) -> None:
        if not os.path.isdir(self._root):
            _require_no_dead_link(self._root)
            raise Unreachable(
                f"the directory {self._root} does not exist; mount or create it on this host, or correct `url`"
            )


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
        sync_directory(os.path.dirname(path))


def _require_no_dead_link(path: str) -> None:
    if os.path.islink(path) and not os.path.exists(path):
        raise Unreachable(f"{path} is a link to a directory that does not exist; mount it")
