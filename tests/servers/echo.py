"""Little HTTP/1.1 servers that repeat what they are sent."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape

DATA = os.urandom(1_000_000)


class _Handler(BaseHTTPRequestHandler):
    """GET /N gives the first N bytes of the data; PUT and POST are answered with what they sent, chunked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Some of the data."""
        body = DATA[: int(self.path[1:])]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        """All that was sent."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (body[:1000], body[1000:]):
            if piece:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    do_POST = do_PUT  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None:
        """Quietly."""


class EchoServer(ThreadingHTTPServer):
    """Listens on a loopback port; each connection has a thread."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, *_: object) -> None:
        """Connections break here on purpose."""


class _Telltale(BaseHTTPRequestHandler):
    """Answers anything with an error that repeats what was asked, as some gateways and proxies do."""

    protocol_version = "HTTP/1.1"
    server: TelltaleServer

    def _tell(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = f"{self.requestline}\n{self.headers}"
        body = f"<Error><Code>Telltale</Code><Message>{escape(told)}</Message></Error>".encode()
        self.send_response(self.server.status, "You asked " + self.path)
        for name, value in (("Content-Length", len(body)), ("Content-Type", "application/xml"), ("X-Asked", self.path)):
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._tell
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Quietly."""


class TelltaleServer(ThreadingHTTPServer):
    """Listens on a loopback port."""

    daemon_threads = True

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Telltale)
        self.status = status
