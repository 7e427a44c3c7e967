"""A server of HTTP that is told what to answer: pages of listings, as the stores' documentation shows them."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable


class Pages(ThreadingHTTPServer):
    """Answers each request, while it is a context, with what `answer` gives for its query: a status and a body.
    `asked`, `paths` and `headers` are what the requests had, with names in lower case, `deleted` the paths of DELETE.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: Callable[[dict[str, str]], tuple[int, str]] = lambda _: (500, "")
        self.asked: list[dict[str, str]] = []
        self.deleted: list[str] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []

    def __enter__(self) -> Pages:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def endpoint(self) -> str:
        """Where clients go."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Answers that are too long are not read to their end."""


class _Handler(BaseHTTPRequestHandler):
    server: Pages
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        asked = {name: values[0] for name, values in query.items()}
        self.server.asked.append(asked)
        self.server.paths.append(urlsplit(self.path).path)
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        if self.command == "DELETE":
            self.server.deleted.append(urlsplit(self.path).path)
        status, body = self.server.answer(asked)
        self.send_response(status)
        if status == 200 and body.startswith("<?xml"):
            self.send_header("x-ms-version", "2021-01-01")  # as Azure
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PROPFIND = _any  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Quietly."""
