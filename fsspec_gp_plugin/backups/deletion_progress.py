"""Counts what a deletion has deleted, for the log and for a person who watches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS_A_LINE = 10.0


def _ignore(_: object) -> None:
    pass


class DeletionProgress:
    """How many objects are deleted, and about how many there were. For one thread."""

    def __init__(
        self,
        what: str = "",
        log: Callable[[str], None] = _ignore,
        show: Callable[[DeletionProgress], None] = _ignore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`log` gets a line about `what` every ten seconds; `show` is called whenever objects were deleted."""
        self.count = 0
        self.expected = 0
        self._what, self._log, self._show, self._clock = what, log, show, clock
        self._logged = clock()

    def expect(self, count: int) -> None:
        """There are about so many objects; 0 if that is unknown."""
        self.expected = count

    def add(self, count: int) -> None:
        """So many more are deleted."""
        if not count:
            return
        self.count += count
        self._show(self)
        if self._clock() - self._logged >= _SECONDS_A_LINE:
            self._logged = self._clock()
            self._log(f"{self._what}: {self}")

    def __str__(self) -> str:
        of = f" of about {self.expected:,}" if self.expected > self.count else ""
        return f"{self.count:,}{of} objects deleted"
