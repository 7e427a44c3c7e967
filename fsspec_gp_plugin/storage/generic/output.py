"""A working file that is being written."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Protocol


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
        """Let go of the file without sending more, as far as that can be done; raises nothing, waits for nothing.

        Returns whether its connection is good for other calls.
        """
        ...


class FileOutput:
    """A file object of fsspec, which only appends and commits what it has when it is closed."""

    def __init__(self, file: Any) -> None:
        """`file` is open for writing and positioned at its end."""
        self.file = file

    def write(self, data: memoryview, offset: int) -> None:
        del offset
        while data:
            # Not every file object takes a memoryview, and some keep what they are given.
            written = self.file.write(bytes(data))
            if not isinstance(written, int) or written >= len(data):
                return
            if written <= 0:
                raise OSError("the file takes no more bytes")
            data = data[written:]

    def close(self) -> None:
        self.file.close()

    def cancel(self) -> None:
        pass

    def drop(self) -> bool:
        with suppress(Exception):
            self.file.discard()
            self.file.closed = True  # or its finaliser would flush
            return True
        with suppress(Exception):
            self.file.close()
        return True
