"""The proxy itself, between a little client and a little server: a fault that doesn't strike proves nothing."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.protocol.waiting import wait_until
from tests.servers.echo import DATA, EchoServer
from tests.servers.faults import Answer, Cut, Flip, failed_complete, lost_complete, slow_down
from tests.servers.link import Link
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with EchoServer() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def proxy(server: str) -> Iterator[Proxy]:
    with Proxy(server) as running:
        yield running


@pytest.fixture
def client(proxy: Proxy) -> Iterator[http.client.HTTPConnection]:
    with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)) as connection:
        yield connection


def ask(client: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    client.request(method, path, body, {"Range": "bytes=0-1"} if method == "GET" else {})
    answer = client.getresponse()
    return answer.status, answer.read()


def test_requests_pass_unchanged_and_are_recorded(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    assert ask(client, "GET", "/300000") == (200, DATA[:300_000])
    assert ask(client, "PUT", "/here", DATA) == (200, DATA)
    assert ask(client, "GET", "/0") == (200, b"")
    client.close()
    assert ask(client, "GET", "/1") == (200, DATA[:1])
    seen = [(r.connection, r.method, r.path, r.range, r.status) for r in proxy.requests]
    assert seen == [
        (0, "GET", "/300000", "bytes=0-1", 200),
        (0, "PUT", "/here", None, 200),
        (0, "GET", "/0", "bytes=0-1", 200),
        (1, "GET", "/1", "bytes=0-1", 200),
    ]
    assert [(r.up, r.down) for r in proxy.requests][::2] == [(0, 300_000), (0, 0)]
    assert proxy.requests[1].up == 1_000_000
    assert proxy.connections[0].up > 1_000_000
    assert proxy.connections[0].down > 1_300_000


def test_bytes_that_are_not_http_pass_unchanged() -> None:
    sent = b"\x16\x03\x01" + os.urandom(3_000_000)
    with socket.create_server(("127.0.0.1", 0)) as echo:

        def work() -> None:
            taken, _ = echo.accept()
            with taken:
                while piece := taken.recv(1 << 16):
                    taken.sendall(piece)

        thread = threading.Thread(target=work)
        thread.start()
        with Proxy(f"127.0.0.1:{echo.getsockname()[1]}") as proxy, _connected(proxy) as sock:
            sender = threading.Thread(target=sock.sendall, args=(sent,))
            sender.start()
            got = b""
            while len(got) < len(sent):
                got += sock.recv(1 << 16)
            sender.join()
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
        thread.join()
    assert got == sent
    assert proxy.requests == []


def _connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("after", [0, 100, 400_000])
def test_a_reset_strikes_the_first_connections_that_carry_enough(proxy: Proxy, direction: str, after: int) -> None:
    fault = Cut(direction, after, times=2)
    proxy.faults.append(fault)
    for number in range(3):
        with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)) as client:
            if number < 2:
                with pytest.raises((ConnectionResetError, BrokenPipeError)):
                    ask(client, "PUT", "/", DATA)
                assert getattr(proxy.connections[number], direction) == after
            else:
                assert ask(client, "PUT", "/", DATA) == (200, DATA)
    assert fault.hits == 2


def test_a_clean_close_in_mid_body(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    proxy.faults.append(Cut("down", 200_000, "close"))
    client.request("GET", "/500000")
    with pytest.raises(http.client.IncompleteRead) as error:
        client.getresponse().read()
    assert 199_000 < len(error.value.partial) < 200_000
    client.close()
    assert ask(client, "GET", "/500000") == (200, DATA[:500_000])


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_stall_keeps_the_connection_and_moves_nothing(
    proxy: Proxy, client: http.client.HTTPConnection, direction: str
) -> None:
    proxy.faults.append(Cut(direction, 5000, "stall"))
    client.timeout = 0.5
    with pytest.raises(TimeoutError):
        ask(client, "PUT", "/", DATA)
    client.close()
    assert ask(client, "PUT", "/", DATA) == (200, DATA)


def test_refused_connections_and_the_same_port_afterwards(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    ask(client, "GET", "/1")
    proxy.refuse()
    with pytest.raises((ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected)):
        ask(client, "GET", "/1")
    client.close()
    with pytest.raises(ConnectionRefusedError):
        ask(client, "GET", "/1")
    client.close()
    proxy.accept()
    assert ask(client, "GET", "/1") == (200, DATA[:1])


@pytest.mark.parametrize("expect", [False, True])
def test_every_third_request_is_told_to_slow_down(
    proxy: Proxy, client: http.client.HTTPConnection, expect: bool
) -> None:
    proxy.faults.append(slow_down())
    statuses = []
    for _ in range(6):
        client.request("PUT", "/", DATA[:50_000], {"Expect": "100-continue"} if expect else {})
        answer = client.getresponse()
        statuses.append((answer.status, b"SlowDown" in answer.read()))
    assert statuses == [(200, False), (200, False), (503, True)] * 2
    assert len(proxy.connections) == 1
    assert [r.answered_here for r in proxy.requests] == [False, False, True] * 2


def test_an_answer_that_comes_before_the_body_was_read(proxy: Proxy) -> None:
    proxy.faults.append(slow_down(every=1, at_once=True))
    with _connected(proxy) as sock:
        sock.sendall(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n")
        answer = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Connection: close" in answer
    assert b"<Code>SlowDown</Code>" in answer


@pytest.mark.parametrize("direction", ["up", "down"])
def test_one_bit_of_one_byte_is_another(proxy: Proxy, client: http.client.HTTPConnection, direction: str) -> None:
    proxy.faults.append(Flip(direction, offset=70_000, larger_than=100_000))
    method, path = ("PUT", "/") if direction == "up" else ("GET", "/200000")
    results = []
    for size in (100_000, 200_000, 200_000):
        body = DATA[:size] if direction == "up" else None
        results.append(ask(client, method, path if body else f"/{size}", body)[1])
    assert results[0] == DATA[:100_000]
    assert results[2] == DATA[:200_000]
    differing = [n for n, (a, b) in enumerate(zip(results[1], DATA, strict=False)) if a != b]
    assert differing == [70_000]
    assert results[1][70_000] ^ DATA[70_000] == 1


def test_the_answer_of_a_complete_is_lost_or_another(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    path = "/key?uploadId=1"
    proxy.faults.append(lost_complete())
    assert ask(client, "PUT", path, b"a part")[0] == 200
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        ask(client, "POST", path, b"<Complete/>")
    client.close()
    proxy.faults += [failed_complete(forward=True), failed_complete(), Answer(status=404, times=1)]
    for forwarded in (True, False):
        status, body = ask(client, "POST", path, b"<Complete/>")
        assert (status, b"<Code>InternalError</Code>" in body) == (200, True)
        assert (proxy.requests[-1].up > 0) == forwarded
    assert ask(client, "GET", "/1")[0] == 404
    assert ask(client, "POST", path, b"<Complete/>") == (200, b"<Complete/>")


def test_a_client_that_expects_to_be_told_to_continue_is_told_so_before_the_answer_is_lost(proxy: Proxy) -> None:
    proxy.faults.append(Answer(status=0, forward=True))
    with _connected(proxy) as sock:
        sock.sendall(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            sock.recv(1000)
    assert [request.up for request in proxy.requests] == [1]


def test_a_connection_that_swallows_moves_nothing_and_ends_with_the_clients(
    proxy: Proxy, client: http.client.HTTPConnection
) -> None:
    proxy.faults.append(Cut("up", 5000, "swallow"))
    client.timeout = 0.5
    with pytest.raises(TimeoutError):
        ask(client, "PUT", "/", DATA)  # all of which the client could send
    [connection] = proxy.connections
    assert (connection.up, connection.down, connection.closed) == (5000, 0, False)
    client.close()
    wait_until(lambda: connection.closed)
    assert ask(client, "PUT", "/", DATA) == (200, DATA)


def test_idle_connections_are_closed(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    assert ask(client, "GET", "/10")[0] == 200
    proxy._order(lambda: setattr(proxy, "idle", 0.1))
    client.sock.settimeout(20)
    assert client.sock.recv(1) == b""


@pytest.mark.alone
def test_a_link_has_its_rate_and_its_delay(proxy: Proxy) -> None:
    proxy.link = Link(rate=2e6, round_trip=0.05)
    for method, count in (("GET", 1), ("PUT", 2)):
        with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)) as client:
            started = time.monotonic()
            ask(client, method, "/1000000", DATA if method == "PUT" else None)
            took = time.monotonic() - started
        # A handshake, a request, and what the bytes need; an echo begins before all has been sent, or not.
        assert 0.1 + 0.5 <= took < 0.1 + 0.5 * count + 0.5


def test_a_slow_link_holds_the_sender_back(proxy: Proxy) -> None:
    proxy.link = Link(rate=100e3)
    with _connected(proxy) as sock:
        sock.settimeout(0.5)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        with pytest.raises(TimeoutError):
            sock.sendall(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n" + bytes(9_000_000))


def test_as_a_program_it_prints_its_port(server: str) -> None:
    words = [sys.executable, "-m", "tests.servers.proxy", "--target", server, "--rate", "40MB", "--delay", "20"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as client:
            assert ask(client, "GET", "/1000000") == (200, DATA)
        process.terminate()
