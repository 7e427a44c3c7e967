"""A little HTTP/1.1 server to try the proxy on."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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
