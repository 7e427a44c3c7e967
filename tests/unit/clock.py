"""A clock of the tests' own, on which waiting takes no time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """A clock that only waiting moves on. `at` are things to be done at a second of it, once."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.at: list[tuple[float, Callable[[], object]]] = []

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        """For stamps of files, which the system makes by its own clock."""
        return time.time_ns()

    def pass_by(self, seconds: float) -> None:
        """Wait, and do what is due."""
        self.now += seconds
        due = [action for second, action in self.at if second <= self.now]
        self.at = [one for one in self.at if one[0] > self.now]
        for action in due:
            action()


class Waiting(threading.Event):
    """Nobody gives up, and waiting takes no time."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.pauses.append(timeout)
        self._clock.pass_by(timeout)
        return False
