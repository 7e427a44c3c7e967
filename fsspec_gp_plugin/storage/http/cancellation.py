"""Ends, from one thread, the exchanges of other threads."""

from __future__ import annotations

import socket
import threading
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
