"""Whether a host can read the other objects of a backup while one of them answers with errors: then that one is given
up soon, as it is the object that is damaged, and not the store that is away.

A read that fails for some seconds makes a note, a file, on its host. Each read that ends well touches the notes of the
other objects of its backup.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .. import keys, private
from ..errors import LocalFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..private import Place

# Seconds after which an object is given up that answers with an HTTP status of 500 or more, and with one that asks to
# wait.
ERROR_SECONDS = 30.0
BUSY_SECONDS = 120.0
# Most failures pass before, and leave no note.
NOTED_AFTER_SECONDS = 5.0
_BUSY = ("429", "503")
_DIRECTORY = "failing_reads"
# So often, at the most, a command looks for notes when it has read something.
_LOOK_SECONDS = 1.0


class Reads:
    """The reads of one command at one target; may be used by several threads."""

    def __init__(self, place: Place, *, gives_up: bool) -> None:
        """`gives_up`: objects that fail while others can be read are given up; else only reads that end well count."""
        self._place = place
        self._gives_up = gives_up
        self._next_look = 0.0
        self._notes: set[FailingRead] = set()
        self._closed = False

    def began_to_fail(self, key: str) -> FailingRead | None:
        """For a read of an object that has failed; None where nothing is to be found out about it."""
        if not self._gives_up or (backup := _backup_of(key)) is None:
            return None
        return FailingRead(self, self._place, f"{self._place.name_of(backup)}.{_digest(key)}")

    def keep(self, failing: FailingRead) -> bool:
        """Remember that a read makes a note; False where the command has ended, so that it must not."""
        self._notes.add(failing)
        return not self._closed

    def drop(self, failing: FailingRead) -> None:
        """A read has no note any more."""
        self._notes.discard(failing)

    def close(self) -> None:
        """The command ends, whether its threads have or not: none of its notes stays."""
        self._closed = True
        for failing in list(self._notes):
            failing.end()

    def ended_well(self, key: str) -> None:
        """An object, or a range of it, has been read. Costs one system call where no read has ever failed."""
        now = time.monotonic()
        if now < self._next_look or (backup := _backup_of(key)) is None:
            return
        self._next_look = now + _LOOK_SECONDS
        others, own = f"{self._place.name_of(backup)}.", _digest(key)
        # The system's own stamp may be the same for some milliseconds.
        at = time.time_ns()
        with suppress(OSError, LocalFileError), _opened(self._place) as directory:
            for name in os.listdir(directory):
                if name.startswith(others) and name[len(others) :].partition(".")[0] != own:
                    os.utime(name, ns=(at, at), dir_fd=directory)


class FailingRead:
    """One read from its first failure on; for one thread at a time."""

    def __init__(self, reads: Reads, place: Place, name: str) -> None:
        """One of `reads`; its note's name begins with `name`."""
        self._reads = reads
        self._place = place
        self._name = f"{name}.{os.getpid()}-{os.urandom(4).hex()}"
        self._status = ""
        self._since = 0.0
        self._noted: int | None = None

    def failed(self, status: str, now: float) -> None:
        """The store has answered with that HTTP status at that second of time.monotonic(); "": it did not answer."""
        if _seconds(status) is None:
            self.end()
            self._status = ""
            return
        if not self._status:
            self._since = now
        self._status = status
        if self._noted is None and now - self._since >= NOTED_AFTER_SECONDS and self._reads.keep(self):
            self._note()

    def seconds_left(self, now: float) -> float | None:
        """After how many seconds it is given up where others can be read; None where that makes no difference."""
        seconds = _seconds(self._status)
        return None if seconds is None else seconds - (now - self._since)

    def why_given_up(self, now: float) -> str:
        """Why another attempt makes no sense; "" where it does."""
        left = self.seconds_left(now)
        if left is None or left > 0 or not self._others_can_be_read():
            return ""
        return (
            f"HTTP status {self._status}; other objects of this backup can be read, so this one is given up after "
            f"{_seconds(self._status):.0f} s"
        )

    def end(self) -> None:
        """It fails no longer, or has been given up."""
        self._reads.drop(self)
        if self._noted is None:
            return
        self._noted = None
        with suppress(OSError, LocalFileError), _opened(self._place) as directory:
            private.unlink_in(directory, self._name)

    def _note(self) -> None:
        with suppress(OSError, LocalFileError), _opened(self._place, make=True) as directory:
            private.sweep(directory)
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(self._name, flags, 0o600, dir_fd=directory)
            try:
                self._noted = os.fstat(file).st_mtime_ns
            finally:
                os.close(file)

    def _others_can_be_read(self) -> bool:
        """Whether another object was read since the note was made."""
        if self._noted is None:
            return False
        with suppress(OSError, LocalFileError), _opened(self._place) as directory:
            return os.stat(self._name, dir_fd=directory).st_mtime_ns != self._noted
        self._noted = None  # somebody has removed the note; the next failure makes another
        return False


@contextmanager
def _opened(place: Place, *, make: bool = False) -> Iterator[int]:
    directory = place.open_directory(_DIRECTORY, make=make)
    try:
        yield directory
    finally:
        os.close(directory)


def _seconds(status: str) -> float | None:
    """After how many seconds an object is given up that answers so while others can be read; None: not before its
    retries end.
    """
    if status in _BUSY:
        return BUSY_SECONDS
    return ERROR_SECONDS if status.startswith("5") else None


def _backup_of(key: str) -> str | None:
    """The timestamp of the backup that an object belongs to; None where it is in none."""
    folder = key[: key.rfind("/") + 1]
    return keys.timestamp_of(folder) if keys.is_backup_prefix(folder) else None


def _digest(key: str) -> str:
    return hashlib.sha256(os.fsencode(key)).hexdigest()[:16]
