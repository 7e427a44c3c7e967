"""The make-believe S3 over HTTP: `python -m benchmarks.scale.server --hosts 1000` prints its port and answers until it
is ended.

It counts requests by kind, and refuses a share of them with status 503, by a rule. `GET /-/counts` tells the counts,
`POST /-/reset?refuse=0.005` sets them to zero, `POST /-/stage?timestamp=…&stage=begun` puts a backup there that still
runs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import socket
import sys
import threading
import zlib
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from benchmarks.scale.answers import S3, Answer, Asked, refusal
from benchmarks.scale.bucket import Bucket
from benchmarks.scale.rule import Backup, Shape

BUCKET = "scale"
_CONTROL = "/-/"


class Server(ThreadingHTTPServer):
    """Answers for one bucket; everybody may do everything."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, shape: Shape, refuse: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.shape = shape
        self.refuse = refuse
        self._lock = threading.Lock()
        self._number = 0
        self.bucket = Bucket(shape)
        self.s3 = S3(self.bucket)
        self.reset(refuse)

    def reset(self, refuse: float) -> None:
        """Count from zero, and refuse that share of the requests from now on."""
        with self._lock:
            self.refuse = refuse
            self._asked: Counter[str] = Counter()
            self._refused = self._received = self._sent = 0

    @property
    def endpoint(self) -> str:
        """Where clients go."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def counts(self) -> dict[str, Any]:
        """How many requests of each kind came, how many of all were refused, and the bytes of bodies to and fro."""
        with self._lock:
            told = {"refused": self._refused, "received": self._received, "sent": self._sent}
            return {"requests": dict(self._asked), **told}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what is wrong with the server itself; clients may go at any time."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def answer(self, asked: Asked) -> Answer:
        """Count a request, and answer or refuse it."""
        kind = S3.kind(asked)
        with self._lock:
            self._asked[kind] += 1
            self._received += len(asked.body)
            self._number += 1
            # By a rule: what makes one request after another meets the same refusals each time.
            is_refused = zlib.crc32(b"%d" % self._number) < self.refuse * (1 << 32)
            self._refused += is_refused
        answer = refusal(503, "SlowDown") if is_refused else self.s3.answer(kind, asked)
        with self._lock:
            self._sent += len(answer.body)
        return answer

    def control(self, path: str, query: dict[str, str]) -> Answer:
        """Do what the driver of the benchmark wants."""
        if path == "reset":
            self.reset(float(query.get("refuse", self.refuse)))
        elif path == "stage":
            self.bucket.add(Backup(self.shape, query["timestamp"], 0, query["stage"]))
        elif path != "counts":
            return Answer(404)
        return Answer(200, json.dumps(self.counts()).encode())


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        """No answer waits until the client has acknowledged the first bytes of it."""
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _any(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(url.path)
        if path.startswith(_CONTROL):
            self._send(self.server.control(path.removeprefix(_CONTROL), query))
            return
        bucket, _, key = path.removeprefix("/").partition("/")
        if bucket != BUCKET:
            self._send(refusal(404, "NoSuchBucket"))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(self.server.answer(Asked(self.command, key, query, headers, body)))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        if self.command != "HEAD":
            headers["Content-Length"] = str(len(answer.body))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any  # noqa: N815 - http.server calls them so

    def log_message(self, *_: object) -> None:
        """Requests are counted, not shown."""


def parse_shape(parser: argparse.ArgumentParser) -> None:
    """Add the options of a Shape."""
    for one in dataclasses.fields(Shape):
        required = one.default is dataclasses.MISSING
        parser.add_argument(f"--{one.name}", type=int, required=required, default=None if required else one.default)


def main() -> None:
    """Answer until the end of the process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.server")
    parse_shape(parser)
    parser.add_argument("--refuse", type=float, default=0.0, help="the share of requests to answer with 503")
    asked = vars(parser.parse_args())
    refuse = asked.pop("refuse")
    with Server(Shape(**asked), refuse) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
