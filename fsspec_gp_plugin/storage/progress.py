"""How many bytes the requests of a thread have sent, and when.

By that a connection which broke in the midst of its work is told from a store that is away.
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
    """A request of this thread has sent so many bytes more."""
    _sent.count += count
    _sent.last = time.monotonic()


class Attempt:
    """One attempt of this thread at a request, from now on."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self._before = _sent.count

    @property
    def sent(self) -> int:
        """Bytes."""
        return _sent.count - self._before

    @property
    def seconds_of_sending(self) -> float:
        """From its beginning to the last byte that it could send."""
        return _sent.last - self.begun if self.sent else 0.0

    def broke(self, error: Unreachable) -> bool:
        """Whether its connection broke at work: after more time of sending than of waiting, and without an answer.

        Whoever is away may still take what fits into the buffers on the way, which takes no time.
        """
        sending = self.seconds_of_sending
        return not error.http_status and self.sent > 0 and 2 * sending >= time.monotonic() - self.begun
