"""How many bytes a stream may move now, so that its average stays below a rate."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# What may be moved at once after a pause, in seconds at the full rate. It bounds each sleep, too.
_BURST_SECONDS = 0.1
# Not worth a turn of the loop when fewer bytes than these are allowed and more are wanted.
_WORTH_MOVING = 64 << 10
# A sleep too short for the clock to notice would be repeated for ever.
_SHORTEST_SLEEP = 0.001


class Throttle:
    """One stream's allowance. For one thread: call allow(), move at most that, then call count().

    Over any span of time at most rate × time and one burst, a tenth of a second's bytes, are moved. What
    a pause leaves unused beyond the burst is lost.
    """

    def __init__(
        self,
        rate: int | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`rate` is bytes a second, None for no limit. `clock` gives seconds; `sleep` may raise to end the wait."""
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._burst = max(1.0, (rate or 0) * _BURST_SECONDS)
        self._balance = self._burst
        self._seen = clock()

    def allow(self, wanted: int) -> int:
        """How many of `wanted` bytes may be moved now: at least one, at most all.

        Sleeps while the stream is ahead of its rate: 0.05 seconds when it has kept to what was allowed before, and
        in turns of 0.1 seconds at the most when it hasn't.
        """
        if self._rate is None:
            return wanted
        self._refill(self._rate)
        # Half a burst, so that a sleep that takes too long doesn't overflow the balance and cost rate.
        full = max(1.0, self._burst / 2)
        if self._balance < min(wanted, _WORTH_MOVING, full):
            while self._balance < min(wanted, full):
                seconds = (full - self._balance) / self._rate
                self._sleep(min(max(seconds, _SHORTEST_SLEEP), _BURST_SECONDS))
                self._refill(self._rate)
        return min(wanted, int(self._balance))

    def count(self, moved: int) -> None:
        """Record bytes that were moved. More than were allowed are made up for by longer waits."""
        if self._rate is not None:
            self._balance -= moved

    def _refill(self, rate: int) -> None:
        now = self._clock()
        self._balance = min(self._burst, self._balance + (now - self._seen) * rate)
        self._seen = now
