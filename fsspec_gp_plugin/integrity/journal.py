"""Writes one line for each object that this host stores of a backup, until the cleanup hook makes a manifest of them.

Any number of processes write at once: each line is one write() to a descriptor opened for appending. A line that a
crash has torn is recognized by its own checksum, and harms no other, as each line has line ends of its own on both
sides.
"""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from .. import private
from ..checksum import crc32c
from ..errors import LocalFileError
from .entries import entry_line, parse_entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from .entries import Entry

DIRECTORY = "journal"
_OPEN, _TAKEN = ".open", ".taken"


class Journal:
    """The journal of one backup at one target, on this host."""

    def __init__(self, place: private.Place, timestamp: str, *, make: bool = True) -> None:
        """Raises LocalFileError, and NoDirectoryError if there is no directory and `make` is not set."""
        self._name = place.name_of(timestamp)
        self._path = os.path.join(place.path, DIRECTORY, self._name)
        self._directory = place.open_directory(DIRECTORY, make=make)
        self._fd = -1
        self._read: list[str] = []
        self.damaged = 0

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        os.close(self._directory)

    def prepare(self) -> None:
        """Open the journal and write to it, so that a full disk is found before an object is stored. Raises
        LocalFileError.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._fd = os.open(self._name + _OPEN, flags, 0o600, dir_fd=self._directory)
            os.write(self._fd, b"\n")
        except OSError as error:
            raise self._failed(error) from error

    def add(self, entry: Entry) -> None:
        """Write the line of an object that is stored. Raises LocalFileError."""
        line = entry_line(entry).encode()
        framed = b"\n%08x %b\n" % (crc32c(line), line)
        try:
            count = os.write(self._fd, framed)
        except OSError as error:
            raise self._failed(error) from error
        if count != len(framed):
            raise self._failed(OSError(28, "no space left on the device"))

    def take(self) -> Iterator[Entry]:
        """All entries, in the order in which they were added; `damaged` counts the lines that can't be read. A new
        journal begins now. What was taken stays on the host until remove().
        """
        taken = f"{self._name}.{secrets.token_hex(6)}{_TAKEN}"
        with suppress(FileNotFoundError):
            os.rename(self._name + _OPEN, taken, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        self._read = self._taken()
        return self._entries()

    def _entries(self) -> Iterator[Entry]:
        for name in self._read:
            with open(self._open(name), "rb") as file:
                for line in file:
                    if line.strip():
                        try:
                            entry = _parse_line(line)
                        except ValueError:
                            self.damaged += 1
                        else:
                            yield entry

    def remove(self, *, whole: bool = False) -> None:
        """Remove what was taken; with `whole`, also what was not taken."""
        for name in [*self._taken(), self._name + _OPEN] if whole else self._read:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._directory)

    def sweep(self) -> None:
        """Remove journals that nobody has taken, or written to, for a month."""
        private.sweep(self._directory)

    def _taken(self) -> list[str]:
        """The names of taken journals, the oldest first."""
        names = [n for n in os.listdir(self._directory) if n.startswith(f"{self._name}.") and n.endswith(_TAKEN)]
        return sorted(names, key=lambda name: os.stat(name, dir_fd=self._directory).st_mtime_ns)

    def _open(self, name: str) -> int:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._directory)

    def _failed(self, error: OSError) -> LocalFileError:
        return LocalFileError(
            f"can't write the journal of checksums {self._path}: {error.strerror}; `checksum: off` does without"
        )


@contextmanager
def open_journals(place: private.Place, timestamp: str) -> Iterator[list[Journal]]:
    """The journals of one backup on this host: the one in the state directory, and one that an earlier version, or a
    caller with another HOME, has left elsewhere. Makes no directory. Raises LocalFileError.
    """
    places = [place]
    if place.earlier_path is not None:
        places.append(place._replace(directory=place.earlier_path))
    with ExitStack() as stack:
        found = []
        for one in places:
            with suppress(private.NoDirectoryError):
                found.append(stack.enter_context(Journal(one, timestamp, make=False)))
        yield found


def _parse_line(line: bytes) -> Entry:
    crc, _, text = line.rstrip(b"\n").partition(b" ")
    if crc != b"%08x" % crc32c(text):
        raise ValueError
    return parse_entry(text)
