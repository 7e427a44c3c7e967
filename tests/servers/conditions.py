"""A front before MinIO that drops the condition of a PUT, as stores do that don't know If-None-Match.

The signature of a request covers that header, so the front signs each request anew, with the keys of the server.
"""

from __future__ import annotations

import http.client
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.servers.minio import PASSWORD, USER
from tests.servers.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.minio import Minio

# Of the client's headers: the condition, the client's signature, and what the connection to the server has of its own.
_DROPPED = {
    "if-none-match", "authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "host",
    "connection", "content-length", "expect", "accept-encoding",
}  # fmt: skip


class _Front(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target

    def handle_error(self, *_: object) -> None:
        """Clients may end at any time."""


class _Handler(BaseHTTPRequestHandler):
    server: _Front
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        there = http.client.HTTPConnection(urlsplit(self.server.target).netloc, timeout=60)
        try:
            path, headers = self._signed(body)
            there.request(self.command, path, body, headers)
            answer = there.getresponse()
            content = answer.read()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            self.wfile.write(content)
        finally:
            there.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 - the names that http.server calls

    def _signed(self, body: bytes) -> tuple[str, dict[str, str]]:
        """The path and the headers of the request, without the condition, signed."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        parts = urlsplit(self.path)
        query = "&".join(word for word in parts.query.split("&") if word and not word.startswith("X-Amz-"))
        path = f"{parts.path}?{query}" if query else parts.path
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _DROPPED}
        request = AWSRequest(self.command, self.server.target + path, headers, body)
        S3SigV4Auth(Credentials(USER, PASSWORD), "s3", "us-east-1").add_auth(request)
        return path, dict(request.headers.items())

    def log_message(self, *_: object) -> None:
        """Quietly."""


@contextmanager
def without_conditions(minio: Minio) -> Iterator[Minio]:
    """The same server, at another endpoint, which replaces an object where it was asked to create one."""
    with serving(_Front(minio.endpoint)) as front:
        yield replace(minio, endpoint=f"http://127.0.0.1:{front.server_address[1]}")
