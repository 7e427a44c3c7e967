"""How long and how often a request is made again that failed because the store was out of reach.

Only Unreachable is repeated; every other error is an answer.
"""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ..errors import AccessDenied, CredentialsEnded, Unreachable
from .progress import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from .failing_reads import FailingRead
    from .outages import Outages

_T = TypeVar("_T")

# For what nobody watches, and loses nothing by waiting: a store that is restarted, or a name that can't be resolved for
# a while, shall not cost a night's backup.
UNATTENDED_SECONDS = 120.0

# Attempts at one thing of which each sent a part of it and broke: enough for what has a chance of one in five.
_MOST_BREAKS = 20


class Patience(NamedTuple):
    """How long and how often to try again: `outage` seconds from the first failure on, at the most `retries` times.

    Seconds in which bytes move don't count, and where a connection broke at work they begin anew, a limited number of
    times.

    Between two attempts passes a random time around `first_pause` seconds, doubled each time up to `longest_pause`.
    `note` is told of each failure that is not the end. `outages`: what other commands of this host know of the target,
    which may make the time shorter. `is_hopeless`: whether nobody wants to wait for that failure to pass. `reached` is
    called whenever the store has done something. `renew` obtains credentials again where those that there are have
    ended; without it that is not repeated.
    """

    outage: float
    retries: int | None = None
    first_pause: float = 0.2
    longest_pause: float = 15.0
    note: Callable[[str], None] = lambda _: None
    outages: Outages | None = None
    is_hopeless: Callable[[Unreachable], bool] = lambda _: False
    reached: Callable[[], object] = lambda: None
    renew: Callable[[], None] | None = None

    def run(self, action: Callable[[], _T], given_up: threading.Event | None = None) -> _T:
        """The action's result, of its first attempt that reaches the store. `given_up` ends the waiting."""
        return Attempts(self, given_up).run(action)


class Attempts:
    """The attempts at one thing. Progress made in between starts the count anew."""

    def __init__(
        self,
        patience: Patience,
        given_up: threading.Event | None = None,
        failing: Callable[[], FailingRead | None] = lambda: None,
    ) -> None:
        """`failing` is called when they are attempts at a read that fails."""
        self._patience = patience
        self._given_up = given_up or threading.Event()
        self._make_failing = failing
        self._failing: FailingRead | None = None
        self._failures = 0
        # Of the first failure; and since when the store counts as away.
        self._failed = self._since = 0.0
        self._begun = time.monotonic()
        self._attempt = Attempt()

    def begin(self) -> Attempt:
        """An attempt begins only now: it was not the store that it has waited for."""
        waited_for, self._attempt = self._attempt, Attempt()
        self._since += self._attempt.begun - waited_for.begun
        return self._attempt

    def progress(self) -> None:
        """The store was reached."""
        self._failures = 0
        self._begun = time.monotonic()
        self.end()
        self._patience.reached()
        if self._patience.outages is not None:
            self._patience.outages.reached()

    def end(self) -> None:
        """There are no more attempts. Without this what a read that fails has noted on the host stays there."""
        if self._failing is not None:
            self._failing.end()
            self._failing = None

    def run(self, action: Callable[[], _T]) -> _T:
        """Repeat the action until it succeeds, or raise its last error."""
        try:
            while True:
                try:
                    done = action()
                except Unreachable as error:
                    self.failed(error)
                else:
                    self.progress()
                    return done
        finally:
            self.end()

    def failed(self, error: Unreachable) -> None:
        """Wait until another attempt makes sense; raises the error when none does."""
        patience = self._patience
        if patience.renew is None and isinstance(error, CredentialsEnded):
            raise AccessDenied(str(error)) from error
        now = time.monotonic()
        if patience.is_hopeless(error):
            raise self._last(error, now) from error
        if self._failures == 0:
            self._failed = self._since = now
            self._failing = self._make_failing()
        elif self._attempt.broke(error):
            self._since = now
        else:
            self._since += self._attempt.seconds_of_sending
        limit = self._require_time(error, now)
        if patience.retries is not None and self._failures >= patience.retries:
            raise self._last(error, now) from error
        self._failures += 1
        pause = min(patience.longest_pause, patience.first_pause * 2 ** min(self._failures - 1, 30))
        # Jittered, so that a thousand processes which an outage stopped at once don't come back at once.
        pause *= random.uniform(0.5, 1.5)  # noqa: S311
        if patience.outage > 0:
            pause = min(pause, max(0.1, limit))
        patience.note(f"{error}; trying again in {pause:.1f} s ({self._failures})")
        if self._given_up.wait(pause):
            raise error
        if patience.renew is not None and isinstance(error, CredentialsEnded):
            patience.renew()
        self._attempt = Attempt()

    def _require_time(self, error: Unreachable, now: float) -> float:
        """The seconds until the attempts may end; raises the error when they do now."""
        patience, waited = self._patience, now - self._since
        limit, why = patience.outage, ""
        if patience.outages is not None:
            limit, why = patience.outages.limit(limit)
        left = limit - waited
        broke_too_often = self._failures >= _MOST_BREAKS and now - self._failed >= limit
        is_over = self._failures > 0 and (left <= 0 or broke_too_often)
        if self._failing is not None:
            self._failing.failed(error.http_status, now)
            if given_up := self._failing.why_given_up(now):
                is_over, why = True, f": {given_up}"
            elif (sooner := self._failing.seconds_left(now)) is not None and sooner > 0:
                left = min(left, sooner)
        if not is_over:
            return left
        if patience.outages is not None and waited >= patience.outage and not isinstance(error, CredentialsEnded):
            patience.outages.spent(waited)
        raise self._last(error, now, why) from error

    def _last(self, error: Unreachable, now: float, why: str = "") -> Unreachable:
        """The error, with what the system says of it, and how often it was tried where that was more than once."""
        from .diagnosis import passes_hardly

        text = str(error)
        if (cause := passes_hardly(error)) not in text:
            text += f"; {cause}"
        if self._failures:
            text += f"; tried {self._failures + 1} times in {now - self._begun:.0f} s{why}"
        last = type(error)(text)
        last.http_status = error.http_status
        return last
