"""A web server of files that tells ETags and, unless it is told otherwise, sends ranges as RFC 9110 wants them."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Web(ThreadingHTTPServer):
    """Serves a directory while it is a context. Its faults: `sends_ranges` False; `cached`, the range that it answers
    with whatever was asked for; `tells_etags` False; `mark`, what stands before ETags. To PROPFIND it tells `dav_etag`.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.sends_ranges = self.tells_etags = True
        self.cached: tuple[int, int] | None = None
        self.mark = ""
        self.dav_etag = ""

    def __enter__(self) -> Web:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def endpoint(self) -> str:
        """Where clients go."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(SimpleHTTPRequestHandler):
    server: Web
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        try:
            with open(self.translate_path(self.path), "rb") as file:
                content = file.read()
        except OSError:
            super().do_GET()  # a directory, or nothing
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, end = (int(asked[1]), min(int(asked[2]) + 1, len(content))) if asked else (0, len(content))
        start, end = self.server.cached or (start, end)
        body = content[start:end] if asked and self.server.sends_ranges else content
        self.send_response(206 if asked and self.server.sends_ranges else 200)
        if asked and self.server.sends_ranges:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        if self.server.tells_etags:
            digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
            self.send_header("ETag", f'{self.server.mark}"{digest}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def do_PROPFIND(self) -> None:
        size = os.path.getsize(self.translate_path(self.path))
        told = f"<getcontentlength>{size}</getcontentlength><getetag>{self.server.dav_etag}</getetag><resourcetype/>"
        response = f"<href>{self.path}</href><propstat><prop>{told}</prop><status>HTTP/1.1 200 OK</status></propstat>"
        body = f'<multistatus xmlns="DAV:"><response>{response}</response></multistatus>'.encode()
        self.send_response(207)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quietly."""
