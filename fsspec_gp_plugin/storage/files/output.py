"""A working file that is being written."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from ..progress import note_sent

if TYPE_CHECKING:
    from .bounded import Bounded

_PIECE = 8 << 20


class Output(Protocol):
    """An open working file. Only one thread uses it, except for cancel()."""

    def write(self, data: memoryview, offset: int) -> None:
        """Write all of the data at `offset`, which is where the last write ended, or the file was resumed.

        Returns when the server has acknowledged the bytes, or when they are copied: the data is reused then.
        """
        ...

    def close(self) -> None:
        """Bring everything to the server, to its disk where the protocol can, and close the file.

        Whatever goes wrong is raised. Nothing is called after it.
        """
        ...

    def cancel(self) -> None:
        """Make a write() that is under way in another thread fail soon, where that needs no waiting."""
        ...

    def drop(self) -> bool:
        """Let go of the file without sending more, as far as that can be done; raises nothing, and may wait for a call.

        Returns whether its connection is good for other calls.
        """
        ...


class FileOutput:
    """A file object of fsspec, which only appends and commits what it has when it is closed."""

    def __init__(self, fs: Bounded) -> None:
        """On it the file is open for writing, positioned at its end."""
        self._fs = fs
        self._written = 0

    def write(self, data: memoryview, offset: int) -> None:
        del offset
        while data:
            # Not every file object takes a memoryview, and some keep what they are given. One whose call never ends
            # keeps no more than this.
            piece = bytes(data[:_PIECE])
            # What it has gathered it may send now.
            written = self._fs.call_file("write", piece, moving=len(piece) + (self._fs.unsent() or 0))
            count = min(written, len(piece)) if isinstance(written, int) else len(piece)
            if count <= 0:
                raise OSError("the file takes no more bytes")
            self._written += count
            note_sent(count)
            data = data[count:]

    def close(self) -> None:
        kept = self._fs.unsent()
        # Where it does not tell, it may send all of them only now.
        self._fs.close_file(moving=self._written if kept is None else kept)

    def cancel(self) -> None:
        pass

    def drop(self) -> bool:
        with suppress(Exception):
            self._fs.discard_file()
        return not self._fs.is_over


class Appending(Protocol):
    """A connection that adds to files by one request each."""

    @property
    def cancelled(self) -> bool:
        """Whether it sends no more."""
        ...

    def append(self, path: str, data: memoryview, offset: int) -> None:
        """Add data to a file that has `offset` bytes."""
        ...

    def cancel(self) -> None:
        """Make what another thread sends fail."""
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
        self._fs.cancel()

    def drop(self) -> bool:
        return not self._fs.cancelled
