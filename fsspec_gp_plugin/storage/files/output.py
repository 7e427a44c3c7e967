"""A working file that is being written."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from ..progress import note_sent

if TYPE_CHECKING:
    from .bounded import Bounded

_PIECE = 8 << 20


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
