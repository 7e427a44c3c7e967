"""A TCP proxy with faults and a link that is as slow as one likes, between a client and a server on this machine.

    with Proxy("127.0.0.1:9000") as proxy:
        proxy.faults.append(Cut("up", after=2_000_000, times=3))  # see tests/servers/faults.py
        ...  # a client of proxy.endpoint
        assert [request.method for request in proxy.requests] == ["PUT", "PUT"]

For other programs: `python -m tests.servers.proxy --target HOST:PORT --rate 40MB --delay 20` prints its port. The rate
is for each connection and direction, the delay are the milliseconds that a byte needs to the server and back.

One thread does it all, so that a fault strikes at its byte and no thread is in the way when a socket is closed.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.servers.connection import Connection
from tests.servers.link import Link

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.faults import Answer, Cut, Flip, Request

# Small enough that a sender feels what the other side does, large enough for hundreds of megabytes a second.
_SOCKET_BUFFER = 256 << 10


class Proxy:
    """Listens on a loopback port while it is a context.

    `faults`, `link` (of connections to come) and `idle` may be changed at any time. `idle`: seconds after which a
    connection on which nothing moves is closed, as servers do. `requests` and `connections` are all that there were.
    """

    def __init__(self, target: str, *, link: Link | None = None, idle: float | None = None) -> None:
        """`target` is HOST:PORT or an http:// endpoint."""
        host, _, port = target.removeprefix("http://").rstrip("/").rpartition(":")
        self._target = (host, int(port))
        self.link = link or Link()
        self.idle = idle
        self.faults: list[Cut | Flip | Answer] = []
        self.requests: list[Request] = []
        self.connections: list[Connection] = []
        self._live: set[Connection] = set()
        self._selector = selectors.DefaultSelector()
        self._listener = self._bound(0)
        self.port: int = self._listener.getsockname()[1]
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._ticket = itertools.count()
        self._wake, self._waker = socket.socketpair()
        self._orders: list[Callable[[], None]] = []
        self._stopping = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    @property
    def endpoint(self) -> str:
        """Where clients of HTTP go."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Proxy:
        self._selector.register(self._wake, selectors.EVENT_READ, lambda _: self._wake.recv(1024))
        self._listen()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._order(lambda: setattr(self, "_stopping", True))
        self._thread.join(10)
        for sock in (self._listener, self._wake, self._waker):
            sock.close()
        self._selector.close()
        if self._failure is not None:
            raise self._failure

    def refuse(self) -> None:
        """Reset all connections, and refuse others until accept() is called."""

        def work() -> None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = self._bound(self.port)  # bound and not listening: nobody else gets the port
            self._reset_all()

        self._order(work)

    def accept(self) -> None:
        """Take connections again."""
        self._order(self._listen)

    def reset(self) -> None:
        """Reset all connections, once."""
        self._order(self._reset_all)

    # What follows is for the proxy's own thread.

    def watch(self, sock: socket.socket, before: int, now: int, work: Callable[[int], None]) -> None:
        """Call `work` with the mask of events when the socket is ready."""
        if not now:
            self._selector.unregister(sock)
        elif before:
            self._selector.modify(sock, now, work)
        else:
            self._selector.register(sock, now, work)

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Call something after some seconds."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._ticket), work))

    def gone(self, connection: Connection) -> None:
        """A connection is closed."""
        self._live.discard(connection)

    def _bound(self, port: int) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER)  # inherited by what it accepts
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        sock.setblocking(False)
        sock.bind(("127.0.0.1", port))
        return sock

    def _listen(self) -> None:
        self._listener.listen(256)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _accept(self, _mask: int) -> None:
        with suppress(BlockingIOError):
            client, _ = self._listener.accept()
            server = socket.socket()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
            connection = Connection(self, len(self.connections), client, server)
            self.connections.append(connection)
            self._live.add(connection)
            server.setblocking(True)
            server.settimeout(5)
            try:
                server.connect(self._target)
            except OSError:
                connection.reset()  # the server is not there
                return
            server.setblocking(False)
            connection.work()

    def _order(self, work: Callable[[], None]) -> None:
        """Have something done by the proxy's thread, and wait for it."""
        done = threading.Event()

        def run() -> None:
            try:
                work()
            finally:
                done.set()

        self._orders.append(run)
        self._waker.send(b"x")
        if not done.wait(10):
            raise TimeoutError("the proxy hangs")

    def _reset_all(self) -> None:
        for connection in list(self._live):
            connection.reset()

    def _run(self) -> None:
        try:
            while not self._stopping:
                for key, mask in self._selector.select(self._patience()):
                    # An earlier event may have closed it.
                    if self._selector.get_map().get(key.fd) == key:
                        key.data(mask)
                self._tick()
        except Exception as error:  # noqa: BLE001 - raised again where the context ends
            self._failure = error
        finally:
            for connection in list(self._live):
                connection.close()

    def _tick(self) -> None:
        while self._orders:
            self._orders.pop(0)()
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
        for connection in list(self._live):
            due = connection.due()
            if due is not None and due <= now:
                connection.work()
            if self.idle is not None and now - connection.moved > self.idle and not connection.stalled:
                connection.close()

    def _patience(self) -> float | None:
        times = [due for connection in self._live if (due := connection.due()) is not None]
        if self._timers:
            times.append(self._timers[0][0])
        if self.idle is not None:
            times.append(time.monotonic() + 0.1)
        return max(0.0, min(times) - time.monotonic()) if times else None


def _bytes(text: str) -> float:
    units: dict[str, int] = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
    return float(text[:-2]) * units[text[-2:]] if text[-2:] in units else float(text)


def main(arguments: Any = None) -> None:
    """Be a proxy until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers.proxy")
    parser.add_argument("--target", required=True, help="HOST:PORT")
    parser.add_argument("--rate", type=_bytes, help="bytes a second of a connection, such as 40MB")
    parser.add_argument("--delay", type=float, default=0, help="milliseconds to the server and back")
    words = parser.parse_args(arguments)
    with Proxy(words.target, link=Link(words.rate, words.delay / 1000)) as proxy:
        print(proxy.port, flush=True)  # noqa: T201 - that is what it is for
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
