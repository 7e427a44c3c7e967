"""Counters in memory that the processes of the agent share: one process writes each of them, the others read it."""

from __future__ import annotations

import mmap
import struct
import time
from typing import TYPE_CHECKING

from .wire import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterator

_SLOT = struct.Struct("qqqd")  # process id, busy, served, when it was last busy
_TRACKED = struct.Struct("qd")  # a backup's timestamp as a number, when a command of it came, in seconds since 1970
_MAX_TRACKED = 128


class Slot:
    """The numbers of one worker, which only that worker writes."""

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        """`memory` is shared by the processes; the slot is the one of that number."""
        self._memory = memory
        self.number = number
        self._at = number * _SLOT.size

    def claim(self, pid: int) -> None:
        """Give the slot to a new process. That does not count as busy: workers that die again and again keep no agent
        alive.
        """
        _, _, served, last = self._read()
        self._write(pid, 0, served, last)

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return int(self._read()[0])

    @property
    def busy(self) -> int:
        """How many commands the worker runs."""
        return int(self._read()[1])

    @busy.setter
    def busy(self, count: int) -> None:
        pid, _, served, _ = self._read()
        self._write(pid, count, served, time.monotonic())

    @property
    def served(self) -> int:
        """How many commands have ended in the worker."""
        return int(self._read()[2])

    def count_served(self) -> None:
        """Count one more command that has ended."""
        pid, busy, served, _ = self._read()
        self._write(pid, busy, served + 1, time.monotonic())

    @property
    def last(self) -> float:
        """When the worker was last busy, by the monotonic clock."""
        return time.monotonic() if self.busy else float(self._read()[3])

    def _read(self) -> tuple[int, int, int, float]:
        return _SLOT.unpack_from(self._memory, self._at)

    def _write(self, *numbers: float) -> None:
        _SLOT.pack_into(self._memory, self._at, *numbers)


def slots(count: int) -> list[Slot]:
    """`count` slots, in new memory that processes forked from now on share."""
    memory = mmap.mmap(-1, max(mmap.PAGESIZE, count * _SLOT.size))
    return [Slot(memory, number) for number in range(count)]


class LastCommands:
    """When the last command of each backup came: the first process says which backups are tracked, workers write the
    times.
    """

    def __init__(self) -> None:
        """In new memory that processes forked from now on share."""
        self._memory = mmap.mmap(-1, _MAX_TRACKED * _TRACKED.size)

    def track(self, timestamp: int, when: float) -> None:
        """Track the commands of a backup, in the place of the backup that has been quiet for the longest time. `when`:
        its last sign of life so far, in seconds since 1970.
        """
        others = [(last, place) for place, (backup, last) in enumerate(self._all()) if backup != timestamp]
        if len(others) == _MAX_TRACKED:
            _TRACKED.pack_into(self._memory, min(others)[1] * _TRACKED.size, timestamp, when)

    def record(self, timestamp: int) -> None:
        """Record that a command of that backup has come."""
        for place, (backup, _) in enumerate(self._all()):
            if backup == timestamp:
                _TRACKED.pack_into(self._memory, place * _TRACKED.size, timestamp, time.time())
                return
            if not backup:
                return

    def last(self, timestamp: int) -> float:
        """When the last command of that backup came, in seconds since 1970; 0.0 if it isn't tracked."""
        return next((when for backup, when in self._all() if backup == timestamp), 0.0)

    def _all(self) -> Iterator[tuple[int, float]]:
        return _TRACKED.iter_unpack(self._memory)


class RefusalCounts:
    """How many calls each worker has refused, by reason, and which reasons were logged since the last run began."""

    def __init__(self, workers: int) -> None:
        """In new memory that processes forked from now on share."""
        self._numbers = memoryview(mmap.mmap(-1, 8 * len(REASONS) * (workers + 1))).cast("q")

    def add(self, worker: int, reason: str) -> bool:
        """Count a refusal of the worker with that number, which alone writes there, one thread at a time. Returns
        whether the worker is to log the reason.
        """
        column = REASONS.index(reason)
        self._numbers[len(REASONS) * (worker + 1) + column] += 1
        was_logged, self._numbers[column] = self._numbers[column], 1
        return not was_logged

    def log_again(self) -> None:
        """Another run begins: each reason is to be logged once more."""
        for column in range(len(REASONS)):
            self._numbers[column] = 0

    def counts(self) -> dict[str, int]:
        """How many calls were refused by each reason; a reason that nobody had is left out."""
        sums = [sum(self._numbers[len(REASONS) + column :: len(REASONS)]) for column in range(len(REASONS))]
        return {reason: count for reason, count in zip(REASONS, sums, strict=True) if count}
