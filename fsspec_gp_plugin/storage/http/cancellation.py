"""Ending from one thread what others are waiting for."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Cancellation:
    """Ends the exchanges of one upload from another thread, wherever they are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._calls: set[Callable[[], object]] = set()
        self.cancelled = False

    def cancel(self) -> None:
        """Whoever sends or waits for an answer gets an OSError, now and from here on."""
        with self._lock:
            self.cancelled = True
            for sock in self._sockets:
                with suppress(OSError):
                    # Not its own shutdown(): a TLS socket would go on in plain text in the other thread.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
            calls = list(self._calls)
        for call in calls:
            call()

    @contextmanager
    def calling(self, call: Callable[[], object]) -> Iterator[None]:
        """Within it, cancel() calls this too; at once when it is too late."""
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
        """Watch a connection; ConnectionAbortedError when it is too late for it."""
        with self._lock:
            if self.cancelled:
                raise ConnectionAbortedError("aborted")
            self._sockets.add(sock)

    def discard(self, sock: socket.socket) -> None:
        """Watch it no more."""
        with self._lock:
            self._sockets.discard(sock)
