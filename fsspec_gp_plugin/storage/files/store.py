"""Objects as files of an fsspec filesystem."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from ...errors import StorageError, Unreachable
from ...keys import is_unfinished
from ..contract import Capabilities, ObjectInfo, Store
from ..fallbacks import delete_each, put_by_writer, raise_failures
from .connections import Connections
from .writer import FsspecWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from ..contract import Way
    from .dialect import Dialect
    from .working_file import WorkingFile


class FsspecStore(Store):
    """Objects are files of an fsspec filesystem below a path."""

    def __init__(self, dialect: Dialect, root: str) -> None:
        """`root` is a path on the filesystem, without its protocol."""
        self.dialect = dialect
        self.connections = Connections(dialect)
        self._capabilities = Capabilities(
            parallel_parts=False,
            parallel_reads=dialect.parallel_reads,
            lists_by_prefix=False,
            single_request_put=False,
            creates=dialect.creates,
            tested=dialect.tested,
        )
        # Working files that were to be removed and were not there, and that a slow server may still make.
        self._late: list[WorkingFile] = []
        self._lock = threading.Lock()
        self._root = root.rstrip("/")

    def __repr__(self) -> str:
        return f"FsspecStore({type(self.dialect).__name__}, {self._root!r})"

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def path(self, key: str) -> str:
        """The path of an object on the filesystem."""
        return f"{self._root}/{key}"

    def name(self, key: str) -> str:
        """The object in messages."""
        return self.dialect.place + self.path(key)

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        return put_by_writer(FsspecWriter(self, key, repeated=True), data)

    def create(self, key: str, data: memoryview) -> ObjectInfo:
        return put_by_writer(FsspecWriter(self, key, replaces=False, repeated=True), data)

    def begin(self, key: str) -> FsspecWriter:
        return FsspecWriter(self, key)

    def stat(self, key: str) -> ObjectInfo:
        with self.connections.lease(f"can't find {self.name(key)}") as fs:
            return ObjectInfo(key, *self.dialect.look(fs, self.path(key)))

    def read(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        if into:
            with self.connections.lease(f"can't read {self.name(info.key)}") as fs:
                yield from self.dialect.read_version(fs, self.path(info.key), info, start, into)

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        with self.connections.lease(f"can't list {self.name(prefix)}") as fs:
            folder = prefix[: prefix.rfind("/") + 1]
            found = list(self.dialect.find(fs, self.path(folder).rstrip("/") or "/"))
        for path, size in found:
            # Some filesystems answer with a leading slash that they were not asked with.
            key = path.lstrip("/")[len(self._root.lstrip("/")) :].lstrip("/")
            if key.startswith(prefix) and (unfinished or not is_unfinished(key)):
                yield ObjectInfo(key, size)

    def delete(self, keys: Iterable[str]) -> None:
        def delete(key: str) -> None:
            with self.connections.lease(f"can't delete {self.name(key)}") as fs:
                self.dialect.remove(fs, self.path(key))

        self._remove_late()
        raise_failures(delete_each(keys, delete, self.name))

    def await_late(self, file: WorkingFile) -> None:
        """Look for a file again whenever something is deleted."""
        with self._lock:
            if file not in self._late:
                self._late.append(file)

    def _remove_late(self) -> None:
        with self._lock:
            late, self._late = self._late, []
        awaited: list[WorkingFile] = []
        with suppress(Unreachable):  # each of the others would wait as long
            while late:
                if late[0].remove_late():
                    awaited.append(late[0])
                del late[0]
        with self._lock:
            self._late += [*awaited, *late]

    def delete_empty_directories(self, prefix: str) -> None:
        folder = prefix.rstrip("/")
        # What can't be removed holds something, or may be no directory at all; nobody misses it.
        with suppress(StorageError), self.connections.lease(f"can't list {self.name(prefix)}") as fs:
            self._remove_below(fs, self.path(folder))
        while "/" in folder:
            folder = folder.rpartition("/")[0]
            with suppress(StorageError), self.connections.lease(f"can't remove {self.name(folder)}") as fs:
                self.dialect.remove_directory(fs, self.path(folder))

    def _remove_below(self, fs: Any, path: str) -> None:
        for name, size in self.dialect.entries(fs, path):
            if size is None:
                self._remove_below(fs, name)
        with suppress(Exception):
            self.dialect.remove_directory(fs, path)

    def way(self) -> Way | None:
        return self.dialect.way

    def close(self) -> None:
        self.connections.close()
