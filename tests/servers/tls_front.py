"""TLS before a server that speaks plain text; it may take only clients that show a certificate."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from tests.servers.forward_proxy import Seen, tunnel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.certificates import Certificates


class _Front(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = port
        self.context = context

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client without a certificate is what some tests want."""


class _Handler(socketserver.BaseRequestHandler):
    server: _Front

    def handle(self) -> None:
        with (
            suppress(OSError),
            self.server.context.wrap_socket(self.request, server_side=True) as here,
            socket.create_connection(("127.0.0.1", self.server.port)) as there,
        ):
            tunnel(here, there, Seen("CONNECT", ""))


@contextmanager
def running(port: int, certificates: Certificates, *, clients: Path | None = None) -> Iterator[str]:
    """The URL of a front to that port of this host; `clients` is the authority of its clients' certificates, or None
    where they need none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.chain, certificates.key)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    with _Front(port, context) as front:
        thread = threading.Thread(target=front.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"https://127.0.0.1:{front.server_address[1]}"
        finally:
            front.shutdown()
            thread.join()
