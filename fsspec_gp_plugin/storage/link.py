"""Counts the bytes that requests send, to tell a connection that broke while bytes moved from a store out of reach, and
adapts a stream to a bad connection: parts that break again and again go one at a time and get smaller.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..errors import Unreachable

# After so many breaks of one part, parts are sent one at a time.
_BREAKS_OF_A_PART = 2
# After so many parts in a row without a break, first several parts are sent at once again, then larger ones.
_TRUSTED_AFTER = 32


class Link:
    """The link of one stream. Several threads may use it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sending = self._unbroken = 0
        # By part number: the bytes that connections had sent when they broke.
        self._broken: dict[int, list[int]] = {}
        self._one_at_a_time = self._closed = False
        # The most bytes that one connection seems to carry; None: no limit is known.
        self.carries: int | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until a part may be sent, which is at once unless parts go one at a time; the part is sent inside."""
        with self._changed:
            while self._one_at_a_time and self._sending and not self._closed:
                self._changed.wait()
            self._sending += 1
        try:
            yield
        finally:
            with self._changed:
                self._sending -= 1
                self._changed.notify_all()

    def arrived(self, number: int) -> None:
        """Note that a part has arrived."""
        with self._changed:
            self._broken.pop(number, None)
            self._unbroken += 1
            if self._unbroken < _TRUSTED_AFTER or self.carries is None:
                return
            self._unbroken = 0
            if not self._one_at_a_time:
                self.carries *= 2
            self._one_at_a_time = False
            self._changed.notify_all()

    def broke(self, number: int, sent: int) -> str:
        """Note that a connection broke after `sent` bytes of a part; return what changes by that, or ""."""
        with self._changed:
            self._unbroken = 0
            breaks = self._broken.setdefault(number, [])
            breaks.append(sent)
            if len(breaks) < _BREAKS_OF_A_PART:
                return ""
            carries = sum(breaks) // len(breaks)
            self.carries = carries if self.carries is None else min(self.carries, carries)
            if self._one_at_a_time:
                return ""
            self._one_at_a_time = True
            return f"part {number} broke {len(breaks)} times: parts go one at a time now, and later ones are smaller"

    def close(self) -> None:
        """End all waits for a turn."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class _Sent(threading.local):
    count = 0
    last = 0.0


_sent = _Sent()


def note_sent(count: int) -> None:
    """Add bytes that a request of this thread has sent."""
    _sent.count += count
    _sent.last = time.monotonic()


class Attempt:
    """One attempt of this thread at a request, which begins now."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self._before = _sent.count

    @property
    def sent(self) -> int:
        """Return the bytes that the attempt has sent so far."""
        return _sent.count - self._before

    @property
    def seconds_of_sending(self) -> float:
        """Return the seconds from its beginning to the last byte that it could send."""
        return _sent.last - self.begun if self.sent else 0.0

    def broke(self, error: Unreachable) -> bool:
        """Return whether the connection broke while bytes moved: it sent longer than it waited, and got no response.

        If the store is out of reach, the buffers on the way may still take some bytes, but that takes no time.
        """
        sending = self.seconds_of_sending
        return not error.http_status and self.sent > 0 and 2 * sending >= time.monotonic() - self.begun
