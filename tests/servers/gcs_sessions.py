"""Google's resumable uploads as Google documents them, before a fake-gcs-server that knows less of them.

The fake commits an upload when it is asked how far it has come, and keeps nothing of a request that breaks. This front
keeps what arrived, in multiples of 256 KiB, answers that question, and ends a session that is deleted; all else it
passes on.
"""

from __future__ import annotations

import http.client
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.servers.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

_GRAIN = 256 << 10
_SESSION = "/upload/session/"


@dataclass
class Session:
    """An upload under way: what of it is kept, and the object's resource once it is complete."""

    bucket: str
    name: str
    content: bytearray = field(default_factory=bytearray)
    resource: bytes = b""


class Front(ThreadingHTTPServer):
    """Listens on a loopback port."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, target: str, port: int = 0, handler: type[Handler] | None = None) -> None:
        super().__init__(("127.0.0.1", port), handler or Handler)
        self.target = urlsplit(target).netloc
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        self.sessions: dict[str, Session] = {}
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """Connections break here on purpose."""


class Handler(BaseHTTPRequestHandler):
    server: Front
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        self._serve()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body, is_whole = self._body()
        if parts.path.startswith(_SESSION):
            with self.server.lock:
                self._session(parts.path.removeprefix(_SESSION), body, is_whole)
        elif not is_whole:
            self.close_connection = True
        elif asked.get("uploadType") == "resumable":
            number = str(len(self.server.sessions))
            self.server.sessions[number] = Session(parts.path.split("/")[5], asked["name"])
            self._answer(200, b"", Location=f"http://{self.headers['Host']}{_SESSION}{number}")
        else:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            self._answer(*self._ask(self.command, self.path, body, headers))

    do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - the names that http.server calls

    def _session(self, number: str, body: bytearray, is_whole: bool) -> None:
        session = self.server.sessions.get(number)
        if session is None:
            self._answer(404, b"")
        elif self.command == "DELETE":
            del self.server.sessions[number]
            self._answer(499, b"")
        elif session.resource:
            self._answer(200, session.resource)
        else:
            self._receive(session, body, is_whole)

    def _receive(self, session: Session, body: bytearray, is_whole: bool) -> None:
        span, _, total = self.headers["Content-Range"].removeprefix("bytes ").partition("/")
        content = session.content
        start = len(content) if span == "*" else int(span.partition("-")[0])
        if start > len(content):
            self._answer(400, b"")  # a gap
            return
        content += body[len(content) - start :]
        if is_whole and total != "*" and int(total) == len(content):
            session.resource = self._make(session.bucket, session.name, [content])
            content.clear()
            self._answer(200, session.resource)
            return
        del content[len(content) - len(content) % _GRAIN :]
        if not is_whole:
            self.close_connection = True
            return
        self._answer(308, b"", {"Range": f"bytes=0-{len(content) - 1}"} if content else None)

    def _make(self, bucket: str, name: str, pieces: list[bytearray]) -> bytes:
        """Have the fake make an object of these bytes; returns its resource."""
        path = f"/upload/storage/v1/b/{bucket}/o?{urlencode({'uploadType': 'media', 'name': name})}"
        status, answer, _ = self._ask("POST", path, b"".join(pieces), {"Content-Type": "application/octet-stream"})
        assert status == 200, answer
        return answer

    def _body(self) -> tuple[bytearray, bool]:
        """What arrives of the request's body, and whether that is all of it."""
        body = bytearray(int(self.headers.get("Content-Length") or 0))
        filled = 0
        with suppress(OSError), memoryview(body) as view:
            while filled < len(body) and (count := self.rfile.readinto1(view[filled:])):
                filled += count
        return (body if filled == len(body) else body[:filled]), filled == len(body)

    def _ask(
        self, method: str, path: str, body: bytes | bytearray, headers: dict[str, str]
    ) -> tuple[int, bytes, dict[str, str]]:
        there = http.client.HTTPConnection(self.server.target, timeout=30)
        try:
            there.request(method, path, body or None, headers)
            answer = there.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        finally:
            there.close()

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, **others: str) -> None:
        self.send_response_only(status, "Whatever")
        for name, value in {**(headers or {}), **others}.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quietly."""


def is_empty(front: Front) -> bool:
    """No upload is under way."""
    return not any(not session.resource for session in front.sessions.values())


@contextmanager
def running(target: str) -> Iterator[Front]:
    """The front of a server at `target`, until the block ends."""
    with serving(Front(target)) as front:
        yield front
