"""Ends exchanges whose time is up, however little each of their calls waits for.

A socket's own limit is for one call, and who answers with a byte now and then never exceeds it.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress


class Watchdog:
    """A thread that shuts sockets down at the end of their time; started with the first of them, and kept."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """A process that was forked has none of the sockets, and no such thread."""
        self._ends: dict[socket.socket, float] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, sock: socket.socket, end: float) -> None:
        """Watch a socket until `end`, a time of the monotonic clock."""
        with self._changed:
            earliest = min(self._ends.values(), default=float("inf"))
            self._ends[sock] = end
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="watchdog", daemon=True)
                with suppress(RuntimeError):  # no more threads; the next one tries, and the socket has its own limit
                    thread.start()
                    self._thread = thread
            if end < earliest:
                self._changed.notify()

    def discard(self, sock: socket.socket) -> None:
        """Watch it no more."""
        with self._changed:
            self._ends.pop(sock, None)

    def _work(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for sock in [sock for sock, end in self._ends.items() if end <= now]:
                    del self._ends[sock]
                    with suppress(OSError):
                        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not a TLS socket's own, see cancellation
                next_end = min(self._ends.values(), default=None)
                self._changed.wait(None if next_end is None else max(0.01, next_end - now))


# One for the whole process, whose thread outlives those that it worked for.
WATCHDOG = Watchdog()
os.register_at_fork(after_in_child=WATCHDOG.reset)
