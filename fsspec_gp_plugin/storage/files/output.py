"""An open working file, and how the whole file gets its name."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import StorageError
from ..link import note_sent

if TYPE_CHECKING:
    from .bounded import Bounded

_PIECE = 8 << 20
# The modules of filesystems whose mv() is known to be one request, or one call of the system.
_ONE_REQUEST = (
    "fsspec.implementations.arrow", "fsspec.implementations.dbfs", "fsspec.implementations.ftp",
    "fsspec.implementations.jupyter", "fsspec.implementations.local", "fsspec.implementations.sftp",
    "fsspec.implementations.smb", "fsspec.implementations.webhdfs",
)  # fmt: skip


class Output(Protocol):
    """An open working file, used by one thread only, except for cancel()."""

    def write(self, data: memoryview, offset: int) -> None:
        """Write all of the data at `offset`, which is where the last write ended, or the file was resumed.

        Returns when the server has acknowledged the bytes, or when they are copied: the caller then reuses the data.
        """
        ...

    def close(self) -> None:
        """Bring everything to the server, to its disk where the protocol can, and close the file.

        Raises whatever goes wrong. It is the last call.
        """
        ...

    def cancel(self) -> None:
        """Make a write() of another thread fail soon, where that needs no waiting."""
        ...

    def release(self) -> bool:
        """Release the file without sending more, if possible; raises nothing, and may wait for a call.

        Returns whether its connection is good for other calls.
        """
        ...


class FileOutput:
    """A file object of fsspec, which only appends and commits what it has when it is closed."""

    def __init__(self, fs: Bounded) -> None:
        """`fs` has the file open for writing, positioned at its end."""
        self._fs = fs
        self._written = 0

    def write(self, data: memoryview, offset: int) -> None:
        del offset
        while data:
            # Not every file object takes a memoryview, and some keep their data. A call that never ends keeps no more
            # than this.
            piece = bytes(data[:_PIECE])
            # The file may send now what it has gathered.
            written = self._fs.call_file("write", piece, moving=len(piece) + (self._fs.unsent() or 0))
            count = min(written, len(piece)) if isinstance(written, int) else len(piece)
            if count <= 0:
                raise OSError("the file takes no more bytes")
            self._written += count
            note_sent(count)
            data = data[count:]

    def close(self) -> None:
        kept = self._fs.unsent()
        # Where that is unknown, the file may send all of its bytes only now.
        self._fs.close_file(moving=self._written if kept is None else kept)

    def cancel(self) -> None:
        pass

    def release(self) -> bool:
        with suppress(Exception):
            self._fs.discard_file()
        return not self._fs.is_closed


class Appending(Protocol):
    """A connection that adds to files by one request each."""

    @property
    def is_closed(self) -> bool:
        """Whether it sends no more: it was closed, perhaps by an error that left it in doubt."""
        ...

    def append(self, path: str, data: memoryview, offset: int) -> None:
        """Add data to a file that has `offset` bytes."""
        ...

    def close(self) -> None:
        """Close the connection, so that a request of another thread fails."""
        ...


class AppendOutput:
    """A working file to which each part is added by a request of its own, so that nothing is open between two parts."""

    def __init__(self, fs: Appending, path: str) -> None:
        """Sends nothing yet."""
        self._fs = fs
        self._path = path

    def write(self, data: memoryview, offset: int) -> None:
        if data:
            self._fs.append(self._path, data, offset)

    def close(self) -> None:
        pass

    def cancel(self) -> None:
        self._fs.close()

    def release(self) -> bool:
        return not self._fs.is_closed


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
