"""Files on an FTP server, by one connection that is made again after it broke."""

from __future__ import annotations

import ftplib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .connection import FtpConnection
from .listing import entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .connection import FtpTarget
    from .listing import Entry

_PIECE = 1 << 20


class Ftp:
    """For one thread at a time, except for close()."""

    def __init__(self, target: FtpTarget) -> None:
        """Connects."""
        self._target = target
        self._connection: FtpConnection | None = None
        # A file that is being read, and the byte that comes next: a restore is one transfer, not one a range.
        self._reading: tuple[str, int] | None = None
        self._connection = FtpConnection(target)
        self._made: set[str] = set()
        # The file whose size was asked for last, and what it was.
        self.seen: tuple[str, int] | None = None

    def __del__(self) -> None:
        # A writer that nobody ends must not leave its sockets to be complained about.
        self.close()

    def size(self, path: str) -> int:
        """Bytes of a file."""
        with self._free() as connection:
            return connection.size(path)

    def store(self, path: str, data: memoryview) -> None:
        """Make a file of the data, whatever was there."""
        with self._free() as connection:
            connection.send(f"STOR {path}", data)

    def append(self, path: str, data: memoryview) -> bool:
        """Add to a file. False where all may not have come, though the server says so: its size tells."""
        with self._free() as connection:
            return connection.send(f"APPE {path}", data)

    def rename(self, source: str, target: str) -> None:
        """Give a file another name; whether one that has it is replaced depends on the server."""
        with self._free() as connection:
            connection.rename(source, target)

    def delete(self, path: str) -> None:
        """Remove a file."""
        with self._free() as connection:
            connection.command(f"DELE {path}")

    def remove_directory(self, path: str) -> None:
        """Remove a directory; servers refuse one that holds something."""
        with self._free() as connection:
            self._made.clear()
            connection.command(f"RMD {path}")

    def make_directories(self, path: str) -> None:
        """Make a directory and those above it. That one can't be made shows when something is written there."""
        names = path.strip("/").split("/")
        for count in range(1, len(names) + 1):
            folder = "/" + "/".join(names[:count])
            if folder not in self._made:
                with self._free() as connection, suppress(ftplib.error_perm):
                    connection.command(f"MKD {folder}")
                self._made.add(folder)

    def forget_directories(self) -> None:
        """Others may have removed what this one has made."""
        self._made.clear()

    def entries(self, path: str) -> list[Entry]:
        """All that is in a directory."""
        with self._free() as connection:
            return entries(connection, path)

    def read(self, path: str, start: int, into: memoryview) -> Iterator[int]:
        """Fill the buffer from a byte on; yields how many came."""
        filled = 0
        while filled < len(into):
            if self._reading != (path, start + filled):
                with self._free() as connection:
                    connection.retrieve(path, start + filled)
            with self._kept() as connection:
                count = connection.receive(into[filled : filled + _PIECE])
            self._reading = (path, start + filled + count) if count else None
            if not count:
                raise EOFError(f"the file ended at byte {start + filled}")
            filled += count
            yield count

    def close(self) -> None:
        """Close the connection, also under another thread that waits for it; the next call makes a new one."""
        connection, self._connection = self._connection, None
        self._reading = None
        if connection is not None:
            connection.close()

    @contextmanager
    def _free(self) -> Iterator[FtpConnection]:
        """The connection while no transfer is under way on it."""
        if self._reading is not None:
            # Its end would have to be waited for, and some servers lose count of what they answer.
            self.close()
        with self._kept() as connection:
            yield connection

    @contextmanager
    def _kept(self) -> Iterator[FtpConnection]:
        try:
            if self._connection is None:
                self._connection = FtpConnection(self._target)
            yield self._connection
        except ftplib.error_perm:
            raise
        except BaseException:
            self.close()
            raise
