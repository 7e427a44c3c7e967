"""The bytes of parts and ranges: HTTP/1.1 over blocking sockets, from and into the caller's buffers.

A blocking call releases the interpreter's lock and copies nothing, while an event loop copies each body and
has one thread for all of them. Every wait has an end: no request stands still for longer than `timeout`, nor
takes longer than that and what its bytes need at the slowest rate worth waiting for.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .answer import Answer, Deadline
from .watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .cancellation import Cancellation
    from .routes import Network, Route

_LONGEST_CONNECT = 10.0
# A store closes connections that idle; most wait for longer than this.
_LONGEST_IDLE = 20.0
# Sent under one limit of time. Smaller ones cost: 256 KiB took a fifth more CPU.
_SLICE = 1 << 20
_CLOSED_WHILE_SENDING = (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class CannotConnectError(ConnectionError):
    """No connection was made; the message names the host."""


class ProxyConnectionError(ConnectionError):
    """The proxy can't be reached."""


@dataclass
class _Kept:
    """A connection, and since when it has been idle."""

    connection: http.client.HTTPConnection
    since: float


class Transport:
    """Keeps connections and makes exchanges on them. May be used from any thread."""

    def __init__(self, network: Network) -> None:
        """`network` says how hosts are reached: proxies, TLS, and the time for which a request may stand still."""
        self._network = network
        self._idle: dict[Route, list[_Kept]] = {}
        self._lock = threading.Lock()
        self._watchdog = Watchdog()
        # The last answer's Date, and this host's time when it came.
        self.heard: tuple[str, float] | None = None

    def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: memoryview | None = None,
        *,
        expected: int = 0,
        cancellation: Cancellation | None = None,
    ) -> Answer:
        """Send a request and return its answer, of which the head has arrived; `expected` are the bytes of its body.

        Raises OSError or http.client.HTTPException when the connection fails. A kept connection that turns out
        to be closed is replaced by a new one, so requests must be such that may be repeated.
        """
        size = len(body or b"") + expected
        deadline = Deadline(self._network.timeout, size)
        route = self._network.route(url)
        kept = self._take(route)
        if kept is not None:
            try:
                return self._attempt(kept, route, method, url, headers, body, deadline, cancellation)
            except (OSError, http.client.HTTPException) as error:
                self.forget()
                if isinstance(error, TimeoutError) or (cancellation is not None and cancellation.cancelled):
                    raise
        return self._attempt(self._connect(route, deadline), route, method, url, headers, body, deadline, cancellation)

    def _attempt(
        self,
        connection: http.client.HTTPConnection,
        route: Route,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: memoryview | None,
        deadline: Deadline,
        cancellation: Cancellation | None,
    ) -> Answer:
        sock = connection.sock

        def release(free: http.client.HTTPConnection | None) -> None:
            self._watchdog.discard(sock)
            if cancellation is not None:
                cancellation.discard(sock)
            if free is not None:
                self._keep(route, free)

        try:
            # A little later, for what the deadline can't see: a head that comes line by line.
            self._watchdog.add(sock, deadline.end + deadline.stall / 2)
            if cancellation is not None:
                cancellation.add(sock)
            deadline.set(sock)
            length = {} if body is None else {"Content-Length": str(len(body))}
            connection.request(
                method, route.target(url), headers={"Host": route.host, **route.headers, **headers, **length}
            )
            broken = _send(sock, body or memoryview(b""), deadline)
            deadline.set(sock)
            try:
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise broken or error from None
            if response.status < 300 and (broken is not None or not _has_whole_head(method, response)):
                response.close()
                # A store can't have kept what it did not get.
                raise broken or ConnectionError("the answer broke off in its head, or has no length")
            if date := response.getheader("Date"):
                self.heard = date, time.time()
            return Answer(release, connection, sock, response, deadline)
        except BaseException:
            connection.close()
            release(None)
            raise

    def _take(self, route: Route) -> http.client.HTTPConnection | None:
        """A kept connection that still looks open."""
        while True:
            with self._lock:
                stock = self._idle.get(route)
                if not stock:
                    return None
                kept = stock.pop()
            if time.monotonic() - kept.since < _LONGEST_IDLE and not _is_readable(kept.connection.sock):
                return kept.connection
            kept.connection.close()

    def _connect(self, route: Route, deadline: Deadline) -> http.client.HTTPConnection:
        connection = route.connection(min(_LONGEST_CONNECT, deadline.stall))
        try:
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException as error:
            there_was_one = connection.sock is not None
            connection.close()
            # What TLS has to say is told as it is.
            if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
                if route.proxy and (error.errno or isinstance(error, TimeoutError)) and not there_was_one:
                    raise ProxyConnectionError(f"{route}: {error}") from error
                raise CannotConnectError(f"{route}: {error}") from error
            raise
        return connection

    def _keep(self, route: Route, connection: http.client.HTTPConnection) -> None:
        now = time.monotonic()
        with self._lock:
            stock = self._idle.setdefault(route, [])
            stock.append(_Kept(connection, now))
            # The youngest are taken first, so a process that lives long would keep the others for ever.
            old = [kept for kept in stock if now - kept.since >= _LONGEST_IDLE]
            del stock[: len(old)]
        for kept in old:
            kept.connection.close()

    def forget(self) -> None:
        """Close the kept connections: after one of them failed, the others lead to the same place."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for stock in idle.values():
            for kept in stock:
                kept.connection.close()


def _send(sock: socket.socket, body: memoryview, deadline: Deadline) -> OSError | None:
    """Send a body; returns the error of a store that closes early: one that refuses says why before it does."""
    try:
        for at in range(0, len(body), _SLICE):
            deadline.set(sock)
            sock.sendall(body[at : at + _SLICE])
    except _CLOSED_WHILE_SENDING as error:
        return error
    return None


def _has_whole_head(method: str, response: http.client.HTTPResponse) -> bool:
    """The library takes the end of a connection for the end of the head, and a body without a length for whole."""
    return (
        method == "HEAD"
        or response.status == 204
        or response.getheader("Content-Length") is not None
        or response.chunked
    )


def _is_readable(sock: socket.socket | None) -> bool:
    """An idle connection has nothing to say: what can be read is its end."""
    if sock is None:
        return True
    poller = select.poll()
    poller.register(sock, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poller.poll(0))
