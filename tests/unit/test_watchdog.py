"""One thread watches the connections of a whole process, however many stores come and go."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.storage.http.routes import Network
from fsspec_gp_plugin.storage.http.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/key"
        server.shutdown()
        thread.join()


def test_a_hundred_transports_leave_one_thread(url: str) -> None:
    for _ in range(100):
        transport = Transport(Network(timeout=60.0, proxy_of=lambda _: None))
        answer = transport.exchange("GET", url, {})
        assert answer.text() == "ok"
        answer.end()
        transport.forget()
    assert len([thread for thread in threading.enumerate() if thread.name == "watchdog"]) == 1


FORKED = """
import os, socket, time
from fsspec_gp_plugin.storage.http.cancellation import WATCHDOG

ours, theirs = socket.socketpair()
WATCHDOG.add(ours, time.monotonic() + 1000)
pid = os.fork()
if not pid:
    mine, other = socket.socketpair()
    WATCHDOG.add(mine, time.monotonic() + 0.1)
    other.settimeout(20)
    os._exit(0 if other.recv(1) == b"" else 1)
assert os.waitpid(pid, 0)[1] == 0
theirs.setblocking(False)
try:
    theirs.recv(1)
except BlockingIOError:
    print("left alone")
"""


def test_a_process_that_was_forked_watches_its_own_connections_and_no_others() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "left alone\n"), done.stderr


REFUSED = """
import resource, socket, threading, time
from fsspec_gp_plugin.storage.http.cancellation import WATCHDOG

resource.setrlimit(resource.RLIMIT_AS, (2 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))
threading.stack_size(4 << 30)  # there is no memory for such a thread
first, of_first = socket.socketpair()
WATCHDOG.add(first, time.monotonic() + 0.1)
threading.stack_size(1 << 20)
second, of_second = socket.socketpair()
WATCHDOG.add(second, time.monotonic() + 1000)
of_first.settimeout(20)
print(of_first.recv(1))
"""


def test_a_connection_goes_on_where_the_system_gives_no_thread_and_is_watched_when_it_does() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", REFUSED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "b''\n"), done.stderr
