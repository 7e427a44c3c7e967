"""Stores whose credentials end and can be obtained again, from a file that another program writes or from a service."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from .contract import Store

# Many streams meet the same end at once; one of them obtains credentials for all.
_SECONDS_BETWEEN = 1.0
# A store may take ten minutes to complete an upload.
_LONGEST_REQUEST_SECONDS = 900.0
# After others could not be had, as long as the old ones are good.
SECONDS_BETWEEN_TRIES = 20.0
_S = TypeVar("_S", bound="Renewable")


class NoTokenError(Exception):
    """The identity is not known, or may not have a token."""


class NoTokenYetError(Exception):
    """Whoever gives tokens does not answer, or has none at the moment."""


def within(seconds: float, action: Callable[[], None]) -> None:
    """Do something that may never end, in a thread of its own; NoTokenYetError where it has not after some seconds."""
    ended = threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            failed.append(error)
        finally:
            ended.set()

    try:
        threading.Thread(target=run, name="credentials", daemon=True).start()
    except RuntimeError:  # the system gives no more threads
        run()
    if not ended.wait(seconds):
        raise NoTokenYetError(f"nothing came in {seconds:.0f} s")
    if failed:
        raise failed[0]


class Renewals:
    """Those of one kind of credentials: one thread obtains others in time, and all go on meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._not_before = float("-inf")

    def renew(self, is_due: Callable[[], bool], is_good: Callable[[], bool], fetch: Callable[[], None]) -> None:
        """Obtain others by `fetch` where that is due; raises what it does where those that there are aren't good."""
        if not is_due():
            return
        can_wait = is_good()
        if can_wait and time.monotonic() < self._not_before:
            return
        if not self._lock.acquire(blocking=not can_wait):
            return
        try:
            if is_due():
                self._fetch(is_due, is_good, fetch)
        finally:
            self._lock.release()

    def _fetch(self, is_due: Callable[[], bool], is_good: Callable[[], bool], fetch: Callable[[], None]) -> None:
        try:
            fetch()
        except Exception:
            if not is_good():
                raise
        if is_due():
            self._not_before = time.monotonic() + SECONDS_BETWEEN_TRIES


class Renewable:
    """A store that can go on with the credentials of another one. What was begun with the old ones goes on, too.

    `finds_credentials`: they come from files, roles or services, not from the options.
    """

    def __init__(self, *, finds_credentials: bool) -> None:
        self.finds_credentials = finds_credentials
        self._renewing = threading.Lock()
        self._renewed = float("-inf")
        # What closes them, and when they were replaced.
        self._replaced: list[tuple[float, Callable[[], None]]] = []

    def credentials_end(self) -> float | None:
        """When the credentials end, in seconds since 1970, where that is known and nothing renews them before."""
        return None

    def renew(self, make: Callable[[], Store]) -> None:
        """Go on with the credentials of a new store of the same objects, unless that was just done.

        Raises what `make` does.
        """
        with self._renewing:
            if time.monotonic() - self._renewed < _SECONDS_BETWEEN:
                return
            fresh = make()
            if not isinstance(fresh, type(self)):
                fresh.close()
                return
            now = self._renewed = time.monotonic()
            # Not what was replaced just now: requests may be under way there.
            self._replaced.append((now, self._go_on_with(fresh)))
            due = []
            while now - self._replaced[0][0] > _LONGEST_REQUEST_SECONDS:
                due.append(self._replaced.pop(0)[1])
        for close in due:
            close()

    def _go_on_with(self: _S, fresh: _S) -> Callable[[], None]:
        """Use the other's connections and credentials from now on; returns what closes one's own."""
        raise NotImplementedError

    def _close_replaced(self) -> None:
        """For close()."""
        for _, close in self._replaced:
            close()
