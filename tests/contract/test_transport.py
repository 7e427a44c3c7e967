"""Connections of our own against servers that behave as real ones do at their worst."""

from __future__ import annotations

import http.client
import select
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.storage.http.cancellation import Cancellation
from fsspec_gp_plugin.storage.http.routes import Network
from fsspec_gp_plugin.storage.http.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fsspec_gp_plugin.storage.http.answer import Answer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Calls one function for each connection, in turn, the last again and again; keeps what they received."""

    def __init__(self, *scripts: Callable[[socket.socket], None]) -> None:
        self._scripts = list(scripts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/bucket/key?signature=x"
        self.connections = 0
        self._scripts_running: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._work, daemon=True)
        self._accepting.start()

    def _work(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            thread = threading.Thread(target=self._run, args=(script, connection), daemon=True)
            self._scripts_running.append(thread)
            thread.start()

    def _run(self, script: Callable[[socket.socket], None], connection: socket.socket) -> None:
        with suppress(OSError):  # the client has gone
            script(connection)

    def close(self) -> None:
        # Or the thread would stay in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        # Until then another connection may come, which nobody would close.
        self._accepting.join()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._scripts_running:
            thread.join(10)
        for connection in self._open:
            connection.close()


def receive(connection: socket.socket) -> bytes:
    """A request, head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            raise OSError("closed")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length")), 0)
    while len(body) < length:
        body += connection.recv(1 << 20)
    return body


def answering(answer: bytes = OK, times: int = 1000) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        for _ in range(times):
            receive(connection)
            connection.sendall(answer)
        connection.close()

    return script


def stay(connection: socket.socket) -> None:
    """Neither read nor say anything until the server closes."""
    poller = select.poll()
    poller.register(connection, 0)  # its end is always told
    poller.poll(60_000)
    connection.close()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*scripts: Callable[[socket.socket], None]) -> Server:
        servers.append(Server(*scripts))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def transport() -> Iterator[Transport]:
    made = Transport(Network(timeout=1.0, proxy_of=lambda _: None))
    yield made
    made.forget()


def whole(answer: Answer) -> bytes:
    try:
        return answer.text().encode()
    finally:
        answer.end()


def read_all(answer: Answer, buffer: memoryview) -> int:
    filled = 0
    while count := answer.read_into(buffer[filled:]):
        filled += count
    return filled


def test_a_connection_serves_many_requests(serve: Callable[..., Server], transport: Transport) -> None:
    server = serve(answering())
    for size in (0, 1, 3 << 20):
        assert whole(transport.exchange("PUT", server.url, {}, memoryview(bytes(size)))) == b"ok"
    assert server.connections == 1


def test_a_kept_connection_that_the_server_closed_is_replaced(
    serve: Callable[..., Server], transport: Transport
) -> None:
    server = serve(answering(times=1))
    for _ in range(3):
        assert whole(transport.exchange("PUT", server.url, {}, memoryview(b"data"))) == b"ok"
        time.sleep(0.05)
    assert server.connections == 3


def test_a_kept_connection_that_breaks_with_the_next_request_is_replaced(
    serve: Callable[..., Server], transport: Transport
) -> None:
    """The server's end may come just when the next request is on its way."""

    def once_and_reset(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(OK)
        receive(connection)
        reset(connection)

    server = serve(once_and_reset, answering())
    for _ in range(2):
        assert whole(transport.exchange("PUT", server.url, {}, memoryview(b"data"))) == b"ok"
    assert server.connections == 2


def test_a_new_connection_that_breaks_is_an_error(serve: Callable[..., Server], transport: Transport) -> None:
    server = serve(reset)
    with pytest.raises((OSError, http.client.HTTPException)):
        transport.exchange("PUT", server.url, {}, memoryview(bytes(1 << 20)))
    assert server.connections == 1


def test_a_store_that_refuses_before_it_has_read_all_is_heard(
    serve: Callable[..., Server], transport: Transport
) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 9\r\nConnection: close\r\n\r\nslow down")
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.2)
        connection.close()

    server = serve(refuse)
    answer = transport.exchange("PUT", server.url, {}, memoryview(bytes(64 << 20)))
    assert answer.status == 503
    assert whole(answer) == b"slow down"


@pytest.mark.parametrize("read_first", [True, False])
def test_a_request_that_stands_still_is_given_up(
    serve: Callable[..., Server], transport: Transport, read_first: bool
) -> None:
    def stall(connection: socket.socket) -> None:
        if read_first:
            receive(connection)
        stay(connection)

    server = serve(stall)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        transport.exchange("PUT", server.url, {}, memoryview(bytes(32 << 20)))
    assert time.monotonic() - started > 0.9


def test_a_success_before_all_was_sent_is_not_believed(serve: Callable[..., Server], transport: Transport) -> None:
    def too_soon(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "x"\r\nConnection: close\r\n\r\n')
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.2)
        connection.close()

    with pytest.raises(OSError, match=r"."):
        transport.exchange("PUT", serve(too_soon).url, {}, memoryview(bytes(64 << 20)))


def test_a_head_that_trickles_for_ever_is_given_up(serve: Callable[..., Server]) -> None:
    """Each of its lines comes in time."""

    def trickle(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(90):  # a hundred would be too many by themselves
            connection.sendall(b"X-Line-%d: x\r\n" % number)
            time.sleep(0.3)
        ended.set()
        connection.close()

    ended = threading.Event()
    transport = Transport(Network(timeout=1.0, proxy_of=lambda _: None))
    with pytest.raises((OSError, http.client.HTTPException)):
        transport.exchange("GET", serve(trickle).url, {})
    assert not ended.is_set()


def test_an_answer_that_stands_still_is_given_up(serve: Callable[..., Server], transport: Transport) -> None:
    def stall(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")
        stay(connection)

    answer = transport.exchange("GET", serve(stall).url, {}, expected=100)
    buffer = memoryview(bytearray(100))
    assert answer.read_into(buffer) == 4
    with pytest.raises(TimeoutError):
        answer.read_into(buffer[4:])
    answer.end()


def test_an_answer_that_trickles_for_ever_is_given_up(serve: Callable[..., Server]) -> None:
    def trickle(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n")
        for _ in range(600):
            connection.sendall(b".")
            time.sleep(0.1)
        connection.close()

    transport = Transport(Network(timeout=0.5, proxy_of=lambda _: None))
    answer = transport.exchange("GET", serve(trickle).url, {}, expected=600)
    buffer = memoryview(bytearray(600))
    with pytest.raises(TimeoutError):
        read_all(answer, buffer)
    answer.end()


def test_an_answer_that_ends_early_is_an_error(serve: Callable[..., Server], transport: Transport) -> None:
    def cut(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")
        connection.close()

    answer = transport.exchange("GET", serve(cut).url, {})
    buffer = memoryview(bytearray(100))
    assert answer.read_into(buffer) == 4
    with pytest.raises(EOFError, match="96 bytes before the end"):
        answer.read_into(buffer)
    answer.end()


@pytest.mark.parametrize(
    ("head", "rest", "connections"),
    [
        (b"Transfer-Encoding: chunked", b"2\r\nok\r\n0\r\n\r\n", 2),
        (b"Connection: close\r\nContent-Length: 2", b"ok", 2),
        (b"Transfer-Encoding: chunked\r\nConnection: close", b"2\r\nok\r\n0\r\n\r\n", 2),
    ],
)
def test_answers_of_every_form_are_read(
    serve: Callable[..., Server], transport: Transport, head: bytes, rest: bytes, connections: int
) -> None:
    def script(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + rest)
        connection.close()

    server = serve(script)
    for _ in range(2):
        answer = transport.exchange("GET", server.url, {})
        buffer = bytearray(10)
        filled = read_all(answer, memoryview(buffer))
        assert buffer[:filled] == b"ok"
        answer.end()
    assert server.connections == connections


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_answer_that_breaks_off_in_its_head_is_an_error(
    serve: Callable[..., Server], transport: Transport, method: str
) -> None:
    """A clean end of the connection there is taken for the head's own end by the library."""

    def script(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nServer: s\r\n")
        connection.close()

    with pytest.raises(OSError, match="broke off in its head"):
        transport.exchange(method, serve(script).url, {})


def test_what_is_left_unread_does_not_become_the_next_answer(
    serve: Callable[..., Server], transport: Transport
) -> None:
    server = serve(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"), answering())
    answer = transport.exchange("GET", server.url, {})
    answer.read_into(memoryview(bytearray(2)))
    answer.end()
    assert whole(transport.exchange("GET", server.url, {})) == b"ok"


def test_cancelling_ends_an_exchange_at_once(serve: Callable[..., Server]) -> None:
    transport = Transport(Network(timeout=30.0, proxy_of=lambda _: None))
    begun = threading.Event()

    def stay_when_begun(connection: socket.socket) -> None:
        connection.recv(1)
        begun.set()
        stay(connection)

    server = serve(stay_when_begun)
    cancellation = Cancellation()
    failed = threading.Event()

    def send() -> None:
        with pytest.raises(OSError, match=r"."):
            transport.exchange("PUT", server.url, {}, memoryview(bytes(64 << 20)), cancellation=cancellation)
        failed.set()

    thread = threading.Thread(target=send)
    thread.start()
    assert begun.wait(20)
    cancellation.cancel()
    assert failed.wait(20)  # its own time-out is 30
    thread.join()
    with pytest.raises(ConnectionAbortedError):
        transport.exchange("PUT", server.url, {}, memoryview(b"x"), cancellation=cancellation)
    transport.forget()
