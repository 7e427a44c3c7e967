"""Counts the bytes that the requests of a thread send, and when.

That tells a connection that broke while bytes moved from a store that is out of reach.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..errors import Unreachable


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
