"""Any fsspec filesystem. An object is written under a hidden `.part` name in its own directory and renamed.

fsspec's file objects commit what they have when they are closed, dropped, or left by an exception; under a
working name that does no harm, and abort() removes it.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import NotFound, StorageError, Unreachable
from ..keys import is_unfinished, unfinished_key
from .api import Capabilities, ObjectInfo
from .errors import translated, translating
from .fallbacks import delete_each, fetch_by_stat, put_by_writer, raise_failures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class FsspecStore:
    """Objects are files of an fsspec filesystem below a path."""

    # Many of these filesystems keep one connection that only one thread may use.
    capabilities = Capabilities(parallel_parts=False, parallel_reads=False, single_request_put=False)

    def __init__(self, fs: Any, root: str) -> None:
        """`fs` is an fsspec filesystem; `root` a path on it, without its protocol."""
        self.fs = fs
        self._root = root.rstrip("/")

    def __repr__(self) -> str:
        return f"FsspecStore({type(self.fs).__name__}, {self._root!r})"

    def path(self, key: str) -> str:
        """The path of an object on the filesystem."""
        return f"{self._root}/{key}"

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        return put_by_writer(self.begin(key), data)

    def begin(self, key: str) -> FsspecWriter:
        return FsspecWriter(self, key)

    def stat(self, key: str) -> ObjectInfo:
        with translating(f"can't find {self.path(key)}"):
            self.fs.invalidate_cache()
            info = self.fs.info(self.path(key))
        if info.get("type") != "file":
            raise NotFound(f"can't find {self.path(key)}: it is not a file")
        if info.get("size") is None:
            raise StorageError(f"can't tell the size of {self.path(key)}")
        return ObjectInfo(key, int(info["size"]))

    def read(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        if into:
            with translating(f"can't read {self.path(info.key)}"):
                piece = self.fs.cat_file(self.path(info.key), start=start, end=start + len(into))
            if len(piece) != len(into):
                raise Unreachable(
                    f"can't read {self.path(info.key)}: {len(piece)} bytes came of {len(into)} at {start}"
                )
            into[:] = piece
            yield len(piece)

    def fetch(self, key: str, into: memoryview) -> tuple[ObjectInfo, Iterator[int]]:
        return fetch_by_stat(self, key, into)

    def crc32c(self, info: ObjectInfo) -> None:
        del info  # each of these filesystems has another checksum, or none

    def delete_unfinished(self, prefix: str) -> int:
        del prefix  # find() lists the working files
        return 0

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        with translating(f"can't list {self.path(prefix)}"):
            self.fs.invalidate_cache()
            try:
                found = self.fs.find(self.path(prefix).rstrip("/") or "/", detail=True)
            except FileNotFoundError:
                return
        for path, info in found.items():
            # Some filesystems answer with a leading slash that they were not asked with.
            key = path.lstrip("/")[len(self._root.lstrip("/")) :].lstrip("/")
            if key.startswith(prefix) and (unfinished or not is_unfinished(key)):
                yield ObjectInfo(key, int(info.get("size") or 0))

    def delete(self, keys: Iterable[str]) -> None:
        raise_failures(delete_each(keys, lambda key: self.fs.rm_file(self.path(key)), self.path))

    def delete_empty_directories(self, prefix: str) -> None:
        from fsspec.asyn import AsyncFileSystem

        if isinstance(self.fs, AsyncFileSystem):
            return  # object stores, where rmdir may mean the bucket
        folder = prefix.rstrip("/")
        with suppress(Exception):
            self.fs.invalidate_cache()
            below = [path for path, _, _ in self.fs.walk(self.path(folder), topdown=False)]
            for path in below:
                self._remove_if_empty(path)
        while "/" in folder:
            folder = folder.rpartition("/")[0]
            with suppress(Exception):
                self._remove_if_empty(self.path(folder))

    def _remove_if_empty(self, path: str) -> None:
        # Asked first: not every filesystem refuses to remove a directory that holds something.
        if not self.fs.ls(path, detail=False):
            self.fs.rmdir(path)

    def close(self) -> None:
        with suppress(Exception):
            close = getattr(self.fs, "close", None)
            if callable(close):
                close()


class FsspecWriter:
    """One file being written, part after part."""

    def __init__(self, store: FsspecStore, key: str) -> None:
        """Touches nothing yet."""
        self._store = store
        self._key = key
        self._final = store.path(key)
        self._working = store.path(unfinished_key(key, secrets.token_hex(6)))
        self._file: Any = None
        self._next_part = 1
        self._done = self._aborted = self._renaming = False
        self._lock = threading.Lock()

    def write(self, number: int, data: memoryview) -> None:
        with self._lock, translating(f"can't write {self._final}"):
            self._open()
            if number != self._next_part:
                raise StorageError(f"part {number} where part {self._next_part} was expected")
            # Not every file object takes a memoryview, and some keep what they are given.
            try:
                self._file.write(bytes(data))
            except Exception as error:
                # What it has taken of the part can't be taken back: another attempt would append it again.
                raise StorageError(str(translated(error, f"can't write {self._final}"))) from error
            self._next_part += 1

    def complete(self, size: int) -> ObjectInfo:
        fs = self._store.fs
        with self._lock, translating(f"can't write {self._final}"):
            self._open()
            if self._renaming and not fs.exists(self._working):
                # An earlier attempt, whose answer got lost, has renamed it.
                self._require_size(self._final, size)
                self._done = True
                return ObjectInfo(self._key, size)
            self._file.close()
            self._require_size(self._working, size)
            self._renaming = True
            try:
                self._rename()
            except Exception:
                # Few of these filesystems rename onto an existing file.
                if not fs.exists(self._final) or not fs.exists(self._working):
                    raise
                fs.rm_file(self._final)
                self._rename()
            # Some filesystems report a rename that failed as a success.
            self._require_size(self._final, size)
            self._done = True
            return ObjectInfo(self._key, size)

    def abort(self) -> None:
        if self._done:
            return
        self._aborted = True
        locked = self._lock.acquire(timeout=1)
        try:
            file, self._file = self._file, None
            if file is not None:
                _drop(file)
            with translating(f"can't remove {self._working}"), suppress(FileNotFoundError):
                self._store.fs.invalidate_cache()
                self._store.fs.rm_file(self._working)
        finally:
            if locked:
                self._lock.release()

    def _open(self) -> None:
        if self._aborted:
            raise StorageError("aborted")
        if self._file is None:
            with suppress(NotImplementedError):
                self._store.fs.makedirs(self._working.rpartition("/")[0], exist_ok=True)
            self._file = self._store.fs.open(self._working, "wb")

    def _rename(self) -> None:
        from fsspec import AbstractFileSystem

        fs = self._store.fs
        if type(fs).mv is AbstractFileSystem.mv:
            # fsspec's own mv takes names for patterns, where ? and * have a meaning.
            fs.cp_file(self._working, self._final)
            fs.rm_file(self._working)
        else:
            fs.mv(self._working, self._final)

    def _require_size(self, path: str, size: int) -> None:
        self._store.fs.invalidate_cache()
        found = self._store.fs.info(path).get("size")
        if found != size:
            raise StorageError(f"can't write {self._final}: {found} bytes arrived of {size}")


def _drop(file: Any) -> None:
    """End a file object without sending the rest of what it holds, as far as it can be told so."""
    with suppress(Exception):
        file.discard()
        file.closed = True  # or its finaliser would flush
        return
    with suppress(Exception):
        file.close()
