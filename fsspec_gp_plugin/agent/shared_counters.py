"""Numbers that the agent's processes show each other, in memory that they share."""

from __future__ import annotations

import mmap
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SLOT = struct.Struct("qqqd")  # process id, busy, served, when it was last busy
_SIGN = struct.Struct("qd")  # a backup's timestamp as a number, when a command of it came, in seconds since 1970
_MOST_SIGNS = 128


class Slot:
    """One worker's numbers. Only that worker writes them."""

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        """`memory` is shared by the processes; the slot is the one of that number."""
        self._memory = memory
        self.number = number
        self._at = number * _SLOT.size

    def claim(self, pid: int) -> None:
        """For a new process. It has not been busy: workers that die again and again keep no agent."""
        _, _, served, last = self._read()
        self._write(pid, 0, served, last)

    @property
    def pid(self) -> int:
        """Whose numbers these are."""
        return int(self._read()[0])

    @property
    def busy(self) -> int:
        """How many commands run there."""
        return int(self._read()[1])

    @busy.setter
    def busy(self, count: int) -> None:
        pid, _, served, _ = self._read()
        self._write(pid, count, served, time.monotonic())

    @property
    def served(self) -> int:
        """How many commands have ended there."""
        return int(self._read()[2])

    def count(self) -> None:
        """One more command has ended."""
        pid, busy, served, _ = self._read()
        self._write(pid, busy, served + 1, time.monotonic())

    @property
    def last(self) -> float:
        """When it was last busy, by the monotonic clock."""
        return time.monotonic() if self.busy else float(self._read()[3])

    def _read(self) -> tuple[int, int, int, float]:
        return _SLOT.unpack_from(self._memory, self._at)

    def _write(self, *numbers: float) -> None:
        _SLOT.pack_into(self._memory, self._at, *numbers)


def slots(count: int) -> list[Slot]:
    """So many, in new memory that processes forked from now on share."""
    memory = mmap.mmap(-1, max(mmap.PAGESIZE, count * _SLOT.size))
    return [Slot(memory, number) for number in range(count)]


class Signs:
    """When a command of each backup came last. The first process says which backups count, workers leave the signs."""

    def __init__(self) -> None:
        """In new memory that processes forked from now on share."""
        self._memory = mmap.mmap(-1, _MOST_SIGNS * _SIGN.size)

    def expect(self, timestamp: int, when: float) -> None:
        """Take note of the commands of a backup, instead of those of the one that has been quiet for longest. `when`:
        its last sign of life so far, in seconds since 1970.
        """
        found = [(when, place) for place, (known, when) in enumerate(self._all()) if known != timestamp]
        if len(found) == _MOST_SIGNS:
            _SIGN.pack_into(self._memory, min(found)[1] * _SIGN.size, timestamp, when)

    def leave(self, timestamp: int) -> None:
        """A command of that backup has come."""
        for place, (known, _) in enumerate(self._all()):
            if known == timestamp:
                _SIGN.pack_into(self._memory, place * _SIGN.size, timestamp, time.time())
                return
            if not known:
                return

    def last(self, timestamp: int) -> float:
        """When a command of that backup came last, in seconds since 1970; 0.0 where it isn't known."""
        return next((when for known, when in self._all() if known == timestamp), 0.0)

    def _all(self) -> Iterator[tuple[int, float]]:
        return _SIGN.iter_unpack(self._memory)
