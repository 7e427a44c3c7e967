"""The bytes of parts and ranges: HTTP/1.1 over blocking sockets, from and into the caller's buffers.

A blocking call releases the interpreter's lock and copies nothing, while an event loop copies each body and
has one thread for all of them. Every wait has an end: no request stands still for longer than `timeout`, nor
takes longer than that and what its bytes need at the slowest rate worth waiting for.
"""

from __future__ import annotations

import select
import threading
import time
from typing import TYPE_CHECKING

from ..link import note_sent
from .answer import Answer, Deadline
from .cancellation import WATCHDOG
from .connection import Response, request_head
from .routes import is_of_tls

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from .cancellation import Cancellation
    from .routes import Network, Route

_LONGEST_CONNECT = 10.0
# A store closes connections that idle; most wait for longer than this.
_LONGEST_IDLE = 20.0
# Sent under one limit of time. Smaller ones cost: 256 KiB took a fifth more CPU.
_SLICE = 1 << 20
# A body of so many bytes goes with the head.
_SMALL = 16 << 10


class Transport:
    """Keeps connections and makes exchanges on them. May be used from any thread."""

    def __init__(self, network: Network) -> None:
        """`network` says how hosts are reached: proxies, TLS, and after how long without progress a request fails."""
        self._network = network
        # Idle connections, and since when they are idle.
        self._idle: dict[Route, list[tuple[socket.socket, float]]] = {}
        self._lock = threading.Lock()
        # The last response's Date, and this host's time when it came.
        self._dated: tuple[str, float] | None = None

    def clock_offset(self) -> float | None:
        """Seconds by which the clock of the server that responded last is ahead of this host's; None if unknown."""
        from email.utils import parsedate_to_datetime

        if self._dated is None:
            return None
        date, received = self._dated
        try:
            # Dates have whole seconds, so half a second is the best guess at the rest.
            return parsedate_to_datetime(date).timestamp() + 0.5 - received
        except (TypeError, ValueError):
            return None

    def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: memoryview | None = None,
        *,
        expected: int = 0,
        cancellation: Cancellation | None = None,
        once: bool = False,
    ) -> Answer:
        """Send a request and return its response once its head has arrived; `expected`: the bytes of its body.

        Raises OSError when the connection fails. A kept connection that turns out to be closed is replaced by a new
        one. `once`: the request is none that may be repeated so, and gets a new connection.
        """
        size = len(body or b"") + expected
        deadline = Deadline(self._network.timeout, size)
        route = self._network.route(url)
        kept = None if once else self._take(route)
        if kept is not None:
            try:
                return self._attempt(kept, route, method, url, headers, body, deadline, cancellation)
            except OSError as error:
                self.forget()
                if isinstance(error, TimeoutError) or (cancellation is not None and cancellation.cancelled):
                    raise
        sock = route.connect(min(_LONGEST_CONNECT, deadline.stall))
        return self._attempt(sock, route, method, url, headers, body, deadline, cancellation)

    def _attempt(
        self,
        sock: socket.socket,
        route: Route,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: memoryview | None,
        deadline: Deadline,
        cancellation: Cancellation | None,
    ) -> Answer:
        def release(is_free: bool) -> None:
            WATCHDOG.discard(sock)
            if cancellation is not None:
                cancellation.discard(sock)
            if is_free:
                self._keep(route, sock)
            else:
                sock.close()

        try:
            # A little later than the deadline: it covers a head that arrives line by line.
            WATCHDOG.add(sock, deadline.end + deadline.stall / 2)
            if cancellation is not None:
                cancellation.add(sock)
            length = {} if body is None else {"Content-Length": str(len(body))}
            head = request_head(method, route.target(url), {"Host": route.host, **route.headers, **headers, **length})
            broken = _send(sock, head, body or memoryview(b""), deadline)
            deadline.set(sock)
            try:
                response = Response(sock, method)
            except OSError as error:
                raise broken or error from None
            answer = Answer(release, sock, response, deadline)
            if response.status < 300 and (broken is not None or (response.length is None and not response.is_chunked)):
                response.close()
                # The store can't have all bytes of the request, or nothing would show that the body is whole.
                raise broken or ConnectionError("the answer has no length")
            if date := response.headers.get("date"):
                self._dated = date, time.time()
            return answer
        except BaseException:
            release(False)
            raise

    def _take(self, route: Route) -> socket.socket | None:
        """Return an idle connection that still looks open; None if there is none."""
        while True:
            with self._lock:
                stock = self._idle.get(route)
                if not stock:
                    return None
                sock, since = stock.pop()
            if time.monotonic() - since < _LONGEST_IDLE and not _is_readable(sock):
                return sock
            sock.close()

    def _keep(self, route: Route, sock: socket.socket) -> None:
        now = time.monotonic()
        with self._lock:
            stock = self._idle.setdefault(route, [])
            stock.append((sock, now))
            # The youngest are used first, so a long-lived process would keep the others for ever.
            old = [sock for sock, since in stock if now - since >= _LONGEST_IDLE]
            del stock[: len(old)]
        for idle in old:
            idle.close()

    def forget(self) -> None:
        """Close the idle connections: after one of them failed, the others lead to the same server."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for stock in idle.values():
            for sock, _ in stock:
                sock.close()


def _send(sock: socket.socket, head: bytes, body: memoryview, deadline: Deadline) -> OSError | None:
    """Send a request; return the error of a store that closes early, because its response says why it refuses."""
    try:
        deadline.set(sock)
        if len(body) <= _SMALL:
            sock.sendall(head + body)
            return None
        sock.sendall(head)
        for at in range(0, len(body), _SLICE):
            deadline.set(sock)
            sock.sendall(body[at : at + _SLICE])
            note_sent(min(_SLICE, len(body) - at))
    except OSError as error:
        if isinstance(error, (BrokenPipeError, ConnectionResetError)):
            return error
        if is_of_tls(error, "SSLEOFError", "SSLZeroReturnError"):
            return error
        raise
    return None


def _is_readable(sock: socket.socket) -> bool:
    """Return whether an idle connection can be read, which means that its other side has closed it."""
    poller = select.poll()
    poller.register(sock, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poller.poll(0))
