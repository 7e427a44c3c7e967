"""Objects as files of an fsspec filesystem. An object is written to a hidden file, renamed when it is whole."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ...errors import AlreadyExists, NotFound, StorageError, Unreachable
from ...keys import is_unfinished
from ..contract import Capabilities, ObjectInfo, Page, PartWriter, Store
from ..fallbacks import delete_side_by_side, put_by_writer, raise_failures
from ..pages import Pages
from .connections import Connections
from .working_file import WorkingFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..contract import TransportSecurity
    from .dialect import Dialect
    from .output import Output

# What abort() leaves a call that is under way to end by itself; after a signal there is less than a second for all.
_GRACE_SECONDS = 0.3
_BREAK_SECONDS = 2.0


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
        # Working files that were not there when they should be removed, and that a slow server may still make.
        self._awaited: list[WorkingFile] = []
        self._lock = threading.Lock()
        self._deletions_at_once = dialect.deletions_at_once
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
            return ObjectInfo(key, *self.dialect.size_and_version(fs, self.path(key)))

    def read(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        if into:
            with self.connections.lease(f"can't read {self.name(info.key)}") as fs:
                yield from self.dialect.read_version(fs, self.path(info.key), info, start, into)

    def list_pages(self, prefix: str, *, shallow: bool = False, unfinished: bool = False) -> Iterator[Page]:
        def request(pending: tuple[str, ...]) -> tuple[Page, tuple[str, ...] | None]:
            """List one directory, or all at once where the filesystem does so."""
            path = self.path(pending[-1]).rstrip("/") or "/"
            with self.connections.lease(f"can't list {self.name(prefix)}") as fs:
                whole = None if shallow else self.dialect.find_at_once(fs, path)
                listed = self.dialect.entries(fs, path) if whole is None else whole
            objects, folders = [], []
            for name, size in listed:
                # Some filesystems put a slash before paths that had none.
                key = name.lstrip("/")[len(self._root.lstrip("/")) :].strip("/")
                if size is not None and key.startswith(prefix) and (unfinished or not is_unfinished(key)):
                    objects.append(ObjectInfo(key, size))
                elif size is None and f"{key}/".startswith(prefix):
                    folders.append(f"{key}/")
            if shallow:
                return Page(objects, folders), None
            return Page(objects), (*pending[:-1], *folders) or None

        first: tuple[str, ...] = (prefix[: prefix.rfind("/") + 1],)
        return Pages(request, first)

    def delete(self, keys: Iterable[str]) -> None:
        def delete(key: str) -> None:
            with self.connections.lease(f"can't delete {self.name(key)}") as fs:
                self.dialect.remove(fs, self.path(key))

        self._remove_appeared()
        try:
            failed = delete_side_by_side(keys, delete, self.name, self._deletions_at_once)
        except Unreachable:
            # The server may not have as many connections for this host.
            self._deletions_at_once = 1
            raise
        raise_failures(failed)

    def working_file(self, key: str) -> WorkingFile:
        """Return a working file for one attempt at an object; it makes no request yet."""
        return WorkingFile(self.connections, self.path(key), self._await_appearance)

    def _await_appearance(self, file: WorkingFile) -> None:
        """Look for a file again whenever something is deleted."""
        with self._lock:
            if file not in self._awaited:
                self._awaited.append(file)

    def _remove_appeared(self) -> None:
        with self._lock:
            files, self._awaited = self._awaited, []
        awaited: list[WorkingFile] = []
        with suppress(Unreachable):  # each of the others would wait as long
            while files:
                if files[0].remove_if_appeared():
                    awaited.append(files[0])
                del files[0]
        with self._lock:
            self._awaited += [*awaited, *files]

    def delete_empty_directories(self, prefix: str) -> None:
        folder = prefix.rstrip("/")
        # What can't be removed holds something, or may be no directory at all: that does not matter.
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

    def transport_security(self) -> TransportSecurity | None:
        return self.dialect.transport_security

    def close(self) -> None:
        self.connections.close()


class FsspecWriter(PartWriter):
    """One file being written, part after part.

    The writer keeps a connection of its own from the first part on. When that breaks, the next attempt connects again
    and, where the dialect resumes, requests the file's size before it goes on. Elsewhere it begins another file, as
    long as only the current part is needed: an abandoned call may still write to the earlier file.
    """

    def __init__(self, store: FsspecStore, key: str, *, replaces: bool = True, repeated: bool = False) -> None:
        """Touches nothing yet. Without `replaces`, complete() raises AlreadyExists where there is a file of that name.
        `repeated`: the caller has all data, and writes it again by another writer after an error that may pass.
        """
        self._store = store
        self._dialect = store.dialect
        self._key = key
        self._final = store.path(key)
        self._working = store.working_file(key)
        self._earlier: list[WorkingFile] = []  # of attempts that failed
        self._replaces = replaces
        self._repeated = repeated
        self._doing = f"can't {'write' if replaces else 'create'} {store.name(key)}"
        self._fs: Any = None
        self._output: Output | None = None
        self._closed = self._renaming = self._done = self._aborted = self._abandoned = False
        self._failure = ""
        self._last_part = 0
        self._end = 0  # of the parts that were written
        self._lock = threading.Lock()

    def write(self, number: int, data: memoryview) -> None:
        with self._lock, self._attempt():
            if number == self._last_part:
                return  # an attempt whose end the caller did not see
            if number != self._last_part + 1:
                raise StorageError(f"{self._doing}: part {number} where part {self._last_part + 1} was expected")
            output, position = self._open(len(data))
            output.write(data[position - self._end :], position)
            self._check()
            self._last_part, self._end = number, self._end + len(data)

    def complete(self, size: int) -> ObjectInfo:
        with self._lock, self._attempt():
            if not self._done:
                self._complete(size)
            return ObjectInfo(self._key, size)

    def _complete(self, size: int) -> None:
        if not self._closed:
            output, position = self._open(0)
            if position != self._end:
                raise StorageError(f"{self._doing}: {position} bytes arrived of {self._end}")
            self._output = None  # closed once, whatever comes of it
            output.close()
            self._closed = True
        fs = self._connection()
        if self._renaming and self._size(fs, self._working.path) is None:
            # An earlier attempt, whose answer got lost, has renamed it.
            self._require_size(fs, self._final, size)
        else:
            self._require_size(fs, self._working.path, size)
            self._check()
            self._renaming = True
            self._rename(fs)
            # Some filesystems report a rename that failed as a success.
            self._require_size(fs, self._final, size)
        self._done = True
        self._fs = None
        self._store.connections.release(fs)
        self._working.created = False  # it has its name
        with suppress(StorageError):  # cleaning up finds what stays
            self._remove()

    def _rename(self, fs: Any) -> None:
        if self._replaces:
            self._dialect.rename(fs, self._working.path, self._final)
            return
        try:
            self._dialect.rename_if_free(fs, self._working.path, self._final)
        except FileExistsError as error:
            raise AlreadyExists(f"{self._doing}: there is a file of that name") from error

    def abort(self) -> None:
        if self._done:
            return
        self._aborted = True
        output = self._output
        if output is not None:
            output.cancel()
        locked = self._lock.acquire(timeout=_GRACE_SECONDS)
        if not locked:
            # It hangs in a call, which ends with its connection.
            self._discard_connection()
            locked = self._lock.acquire(timeout=_BREAK_SECONDS)
        try:
            self._abandoned = not locked
            if not self._done:
                self._remove()
        finally:
            if locked:
                self._lock.release()

    def _remove(self) -> None:
        self._release()
        copied = self._renaming and self._dialect.copies
        what = "it, or a part of it," if copied else "the whole object"
        shown = StorageError(f"{self._store.name(self._key)} was being completed, so {what} may be visible")
        failure = shown if copied else None
        for file in (self._working, *self._earlier):
            try:
                file.remove()
            except Unreachable:
                raise
            except NotFound:
                if self._renaming:
                    failure = shown
            except StorageError as error:
                failure = error
        if failure is not None:
            raise failure

    def _release(self) -> None:
        """Release file and connection. Others may use the connection if nothing went wrong on it."""
        output, self._output = self._output, None
        self._working.was_broken_off = output is not None
        usable = output is None or output.release()
        fs, self._fs = self._fs, None
        if fs is not None and usable and not self._failure:
            self._store.connections.release(fs)
        elif fs is not None:
            self._store.connections.discard(fs)

    def _discard_connection(self) -> None:
        fs, self._fs = self._fs, None
        if fs is not None:
            self._store.connections.discard(fs)

    def _open(self, more: int) -> tuple[Output, int]:
        """Open the working file; returns it and where to go on for a part of `more` bytes that starts at self._end."""
        if self._output is not None:
            return self._output, self._end
        fs = self._connection()
        size = self._size(fs, self._working.path) if self._working.created else None
        if size is None and not (self._end and self._working.created):
            # It was not made yet, or the request for it got lost.
            self._output = self._working.create(fs, self._check, self._doing)
            return self._output, 0
        if size is None or not self._end <= size <= self._end + more:
            raise StorageError(
                f"{self._doing}: {size or 0} bytes are there after the connection broke, "
                f"where {self._end} were acknowledged and {more} more were on their way"
            )
        self._output = self._dialect.resume(fs, self._working.path)
        return self._output, self._end if self._dialect.positional else size

    def _connection(self) -> Any:
        self._check()
        if self._fs is None:
            self._fs = self._store.connections.acquire(self._doing)
            self._check()
        return self._fs

    def _size(self, fs: Any, path: str) -> int | None:
        try:
            return self._dialect.size(fs, path)
        except FileNotFoundError:
            return None

    def _require_size(self, fs: Any, path: str, size: int) -> None:
        arrived = self._size(fs, path)
        if arrived != size:
            raise StorageError(f"{self._doing}: {arrived or 0} bytes arrived of {size}")

    @contextmanager
    def _attempt(self) -> Iterator[None]:
        """Around each attempt: errors become those of this package, and are final if another attempt can't succeed."""
        self._check()
        try:
            with self._store.connections.translating(self._doing):
                yield
        except Unreachable as error:
            self._disconnect()
            # How much of an open file arrived is unknown; before it is opened and after it is closed all is clear.
            if self._working.created and not self._closed and not self._dialect.resumes:
                if self._end and not self._repeated:
                    self._failure = str(error)
                    raise StorageError(str(error)) from error
                self._earlier.append(self._working)
                self._working = self._store.working_file(self._key)
            raise
        except Exception as error:
            self._failure = str(error)
            raise
        finally:
            if self._abandoned and not self._done:
                # abort() waited in vain, so it did not remove what was made since then.
                with suppress(StorageError):
                    self._remove()

    def _disconnect(self) -> None:
        self._discard_connection()  # first, so that nothing waits for it
        output, self._output = self._output, None
        if output is not None:
            output.release()

    def _check(self) -> None:
        if self._aborted:
            raise StorageError("aborted")
        if self._failure:
            raise StorageError(self._failure)
