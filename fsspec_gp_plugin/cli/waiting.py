"""How long a command for people waits for the target, and what it tells of that in a terminal."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..redaction import in_one_line, scrub
from ..storage.diagnosis import passes_hardly
from ..storage.retry_policy import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..config.loading import Config
    from ..errors import Unreachable

# Most answers come sooner.
_SILENT_SECONDS = 2.0


@contextmanager
def waiting_for(config: Config, outage: float, *, attended: bool = True) -> Iterator[RetryPolicy]:
    """Yields the retry policy of a command for people, which waits up to `outage` seconds for the target.

    Where it is `attended`, what hardly passes within seconds is told at once, as long as the target has never answered.
    In a terminal one line tells what is waited for.
    """
    waiting = _Waiting(f"waiting for {config.url}, {outage:.0f} s at the most", outage)
    if config.url.partition("://")[0] not in ("file", "local"):
        waiting.begin("it has not answered yet")
    try:
        yield RetryPolicy(
            outage,
            config.max_retries,
            note=waiting.begin,
            is_hopeless=waiting.is_hopeless if attended else lambda _: False,
            reached=waiting.reached,
        )
    finally:
        waiting.end()


class _Waiting:
    """One line on standard error, where that is a terminal, when nothing comes from the target for some seconds."""

    def __init__(self, what: str, seconds: float) -> None:
        """`what` is waited for, for so many seconds."""
        self._what = what
        self._seconds = seconds
        self._lock = threading.Lock()
        self._has_answered = False
        self._why = ""
        self._told = float("-inf")
        self._timer: threading.Timer | None = None

    def is_hopeless(self, error: Unreachable) -> bool:
        return not self._has_answered and passes_hardly(error) != ""

    def begin(self, why: str) -> None:
        """Tell it soon, if nothing comes."""
        self._why = why
        with self._lock:
            if self._timer is None and sys.stderr.isatty():
                self._timer = threading.Timer(_SILENT_SECONDS, self._tell)
                self._timer.daemon = True
                self._timer.start()

    def _tell(self) -> None:
        if (now := time.monotonic()) - self._told >= self._seconds:
            self._told = now
            sys.stderr.write(in_one_line(scrub(f"{self._what}: {self._why}")) + "\n")
            sys.stderr.flush()

    def reached(self) -> None:
        self._has_answered = True
        self.end()

    def end(self) -> None:
        """There is nothing to wait for."""
        if self._timer is not None:
            with self._lock:
                timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
