"""Ends exchanges of other threads: those of an upload that is aborted, and those whose time is up."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Cancellation:
    """Ends the exchanges of one upload from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._calls: set[Callable[[], object]] = set()
        self.cancelled = False

    def cancel(self) -> None:
        """Make every present and later exchange fail with an OSError."""
        with self._lock:
            self.cancelled = True
            for sock in self._sockets:
                with suppress(OSError):
                    # Not the TLS socket's own shutdown(): the other thread would go on in plain text.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
            calls = list(self._calls)
        for call in calls:
            call()

    @contextmanager
    def calling(self, call: Callable[[], object]) -> Iterator[None]:
        """Let cancel() call this function, too, while inside; call it at once if cancel() was called before."""
        with self._lock:
            late = self.cancelled
            self._calls.add(call)
        if late:
            call()
        try:
            yield
        finally:
            with self._lock:
                self._calls.discard(call)

    def add(self, sock: socket.socket) -> None:
        """Add a connection. Raises ConnectionAbortedError after cancel()."""
        with self._lock:
            if self.cancelled:
                raise ConnectionAbortedError("aborted")
            self._sockets.add(sock)

    def discard(self, sock: socket.socket) -> None:
        """Remove a connection."""
        with self._lock:
            self._sockets.discard(sock)


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
