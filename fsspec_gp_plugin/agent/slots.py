"""Numbers that the agent's processes show each other, in memory that they share."""

from __future__ import annotations

import mmap
import struct
import time

_SLOT = struct.Struct("qqqd")  # process id, busy, served, when it was last busy


class Slot:
    """One worker's numbers. Only that worker writes them."""

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        """`memory` is shared by the processes; the slot is at that byte."""
        self._memory = memory
        self._at = at

    def claim(self, pid: int) -> None:
        """For a new process."""
        self._write(pid, 0, self.served, time.monotonic())

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
    return [Slot(memory, number * _SLOT.size) for number in range(count)]
