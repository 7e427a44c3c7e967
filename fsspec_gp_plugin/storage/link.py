"""What the connections of one stream carry: where they break again and again, its parts go one at a time and shrink."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Breaks of one part after which the link is taken not to carry several at once.
_BREAKS_OF_A_PART = 2
# Parts in a row without a break after which it is trusted with more: first with several at once, then with larger ones.
_TRUSTED_AFTER = 32


class Link:
    """For one stream; may be used by several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sending = self._unbroken = 0
        # What connections had sent of a part when they broke.
        self._broken: dict[int, list[int]] = {}
        self._one_at_a_time = self._closed = False
        # Bytes that a connection is expected to carry; None where nothing is known to be too much.
        self.carries: int | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Within it a part may be sent: at once, or where the link does not carry several, after the others."""
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
        """A part has arrived."""
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
        """A connection broke when it had sent so many bytes of a part; returns what follows, "" where nothing does."""
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
        """Nobody needs to wait for a turn any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
