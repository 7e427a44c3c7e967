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
    """A thread that shuts down sockets when their time is up. It starts with the first socket and stays."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all sockets in a forked process, which has no such thread."""
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
                with suppress(
                    RuntimeError
                ):  # no more threads: the next call tries again, and each socket has a limit of its own
                    thread.start()
                    self._thread = thread
            if end < earliest:
                self._changed.notify()

    def discard(self, sock: socket.socket) -> None:
        """Stop watching a socket."""
        with self._changed:
            self._ends.pop(sock, None)

    def _work(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for sock in [sock for sock, end in self._ends.items() if end <= now]:
                    del self._ends[sock]
                    with suppress(OSError):
                        socket.socket.shutdown(
                            sock, socket.SHUT_RDWR
                        )  # not the TLS socket's own method, see cancellation.py
                next_end = min(self._ends.values(), default=None)
                self._changed.wait(None if next_end is None else max(0.01, next_end - now))


# One for the whole process; its thread outlives the transports that use it.
WATCHDOG = Watchdog()
os.register_at_fork(after_in_child=WATCHDOG.reset)
