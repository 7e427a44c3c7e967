"""How long and how often a request is retried that failed because the store was out of reach.

Only Unreachable is retried; every other error is an answer of the store.
"""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

from ..errors import AccessDenied, CredentialsEnded, Unreachable
from .link import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from .failing_reads import FailingRead
    from .outages import Outages

_P = ParamSpec("_P")
_T = TypeVar("_T")

# For commands that nobody watches: a store that restarts, or a name that can't be resolved for a while, must not cost
# a night's backup.
UNATTENDED_SECONDS = 120.0

# Attempts that each sent some bytes before they broke: enough for requests that succeed one time in five.
_MOST_BREAKS = 20


class RetryPolicy(NamedTuple):
    """How long and how often to retry: for `outage` seconds after the first failure, at most `retries` times.

    Seconds in which bytes move don't count. Where a connection broke while bytes moved, the seconds begin anew, a
    limited number of times. The pause between two attempts is a random time around `first_pause` seconds, doubled each
    time up to `longest_pause`.

    `note` is called with a line of text for each failure that is retried. `outages` is what other commands of this host
    know about the target, which may shorten the time. `is_hopeless` says whether a failure should not be retried.
    `reached` is called whenever the store has answered. `renew` obtains new credentials where the present ones have
    ended; without it that failure is not retried.
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


class Attempts:
    """The attempts at one action. Progress in between starts the count anew."""

    def __init__(
        self,
        policy: RetryPolicy,
        stopped: threading.Event | None = None,
        failing: Callable[[], FailingRead | None] = lambda: None,
    ) -> None:
        """`stopped` ends the pauses. `failing` is called once when the action is a read that fails."""
        self._policy = policy
        self._stopped = stopped or threading.Event()
        self._make_failing = failing
        self._failing: FailingRead | None = None
        self._failures = 0
        # Of the first failure; and since when the store counts as away.
        self._failed = self._since = 0.0
        self._begun = time.monotonic()
        self._attempt = Attempt()

    def begin(self) -> Attempt:
        """Begin the attempt now: the time before was not spent waiting for the store."""
        waited_for, self._attempt = self._attempt, Attempt()
        self._since += self._attempt.begun - waited_for.begun
        return self._attempt

    def progress(self) -> None:
        """The store was reached."""
        self._failures = 0
        self._begun = time.monotonic()
        self.end()
        self._policy.reached()
        if self._policy.outages is not None:
            self._policy.outages.reached()

    def end(self) -> None:
        """End the attempts, and remove what a failing read has noted on this host."""
        if self._failing is not None:
            self._failing.end()
            self._failing = None

    def run(self, action: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
        """Repeat the action until it succeeds, or raise its last error."""
        try:
            while True:
                try:
                    done = action(*arguments, **options)
                except Unreachable as error:
                    self.failed(error)
                else:
                    self.progress()
                    return done
        finally:
            self.end()

    def failed(self, error: Unreachable) -> None:
        """Wait until another attempt makes sense; raise the error when none does."""
        policy = self._policy
        if policy.renew is None and isinstance(error, CredentialsEnded):
            raise AccessDenied(str(error)) from error
        now = time.monotonic()
        if policy.is_hopeless(error):
            raise self._last(error, now) from error
        if self._failures == 0:
            self._failed = self._since = now
            self._failing = self._make_failing()
        elif self._attempt.broke(error):
            self._since = now
        else:
            self._since += self._attempt.seconds_of_sending
        limit = self._require_time(error, now)
        if policy.retries is not None and self._failures >= policy.retries:
            raise self._last(error, now) from error
        self._failures += 1
        pause = min(policy.longest_pause, policy.first_pause * 2 ** min(self._failures - 1, 30))
        # Jittered, so that a thousand processes which an outage stopped at once don't come back at once.
        pause *= random.uniform(0.5, 1.5)  # noqa: S311
        if policy.outage > 0:
            pause = min(pause, max(0.1, limit))
        policy.note(f"{error}; trying again in {pause:.1f} s ({self._failures})")
        if self._stopped.wait(pause):
            raise error
        if policy.renew is not None and isinstance(error, CredentialsEnded):
            policy.renew()
        self._attempt = Attempt()

    def _require_time(self, error: Unreachable, now: float) -> float:
        """Return the seconds that are left for attempts; raise the error when none are."""
        policy, waited = self._policy, now - self._since
        limit, why = policy.outage, ""
        if policy.outages is not None:
            limit, why = policy.outages.limit(limit)
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
        if policy.outages is not None and waited >= policy.outage and not isinstance(error, CredentialsEnded):
            policy.outages.spent(waited)
        raise self._last(error, now, why) from error

    def _last(self, error: Unreachable, now: float, why: str = "") -> Unreachable:
        """Return the error with the system's own words, and with the number of attempts if there was more than one."""
        from .diagnosis import passes_hardly

        text = str(error)
        if (cause := passes_hardly(error)) not in text:
            text += f"; {cause}"
        if self._failures:
            text += f"; tried {self._failures + 1} times in {now - self._begun:.0f} s{why}"
        last = type(error)(text)
        last.http_status = error.http_status
        return last
