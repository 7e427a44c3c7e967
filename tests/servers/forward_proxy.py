"""A forward proxy for HTTP, and for TLS by CONNECT. It leads every host name to one place and remembers what it saw."""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import threading
from base64 import b64encode
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 64 << 10
_OF_ONE_CONNECTION = {"connection", "keep-alive", "proxy-connection", "proxy-authorization", "expect"}


@dataclass
class Seen:
    """One request, or one tunnel: the bytes that went up and came down in it."""

    method: str
    target: str
    up: int = 0
    down: int = 0

    @property
    def host(self) -> str:
        """Whom it was for, as the client wrote it."""
        return self.target if self.method == "CONNECT" else urlsplit(self.target).netloc


class ForwardProxy(ThreadingHTTPServer):
    """Leads whoever asks for anything to a port of this host."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = port
        self.login = ""
        """`user:password` that it wants to hear; nothing: it takes everyone."""
        self.fails_with = 0
        """The status that it answers everything with, where it is not 0."""
        self.seen: list[Seen] = []

    def url(self, login: str = "") -> str:
        """As a client is told of it."""
        return f"http://{login}{'@' if login else ''}127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: ForwardProxy
    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        if self._is_refused():
            return
        seen = self._remember()
        with socket.create_connection(("127.0.0.1", self.server.port)) as there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.close_connection = True
            tunnel(self.connection, there, seen)

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self._is_refused():
            return
        seen = self._remember()
        seen.up = len(body)
        parts = urlsplit(self.path)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_ONE_CONNECTION}
        there = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            there.request(self.command, f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}", body, headers)
            answer = there.getresponse()
            content = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            seen.down = len(content)  # before the client can have all of it
            self.wfile.write(content)
        finally:
            there.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward  # noqa: N815 - the names that http.server calls

    def _remember(self) -> Seen:
        seen = Seen(self.command, self.path)
        self.server.seen.append(seen)
        return seen

    def _is_refused(self) -> bool:
        login = self.server.login
        wrong = login and self.headers.get("Proxy-Authorization") != f"Basic {b64encode(login.encode()).decode()}"
        status = self.server.fails_with or (407 if wrong else 0)
        if status:
            self.send_response(status)
            if status == 407:
                self.send_header("Proxy-Authenticate", 'Basic realm="tests"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        return bool(status)

    def log_message(self, *_: object) -> None:
        pass


def tunnel(here: socket.socket, there: socket.socket, seen: Seen) -> None:
    """Carry bytes both ways until one side has no more."""
    while True:
        held = isinstance(here, ssl.SSLSocket) and here.pending()  # decrypted already, so select() does not tell it
        for source in [here] if held else select.select([here, there], [], [], 60)[0]:
            data = b""
            with suppress(ConnectionError):
                data = source.recv(_PIECE)
            if not data:
                return
            if source is here:
                seen.up += len(data)
                there.sendall(data)
            else:
                seen.down += len(data)
                here.sendall(data)


@contextmanager
def running(port: int) -> Iterator[ForwardProxy]:
    """A proxy on a loopback port of its own."""
    with ForwardProxy(port) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
