"""What an FTP server says of a file that is not there: some say 550, some 450, which also means that it is busy."""

from __future__ import annotations

import socketserver
import threading
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import NotFound, StorageError, Unreachable
from fsspec_gp_plugin.storage.open import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server: Any = self.server
        server.sessions += 1
        self.wfile.write(b"220 ready\r\n")
        while line := self.rfile.readline():
            answer = server.size if line.startswith(b"SIZE") else b"200 as you like"
            self.wfile.write(answer + b"\r\n")


@pytest.fixture
def server() -> Iterator[Any]:
    """Says `size` to SIZE, and yes to everything else; counts its sessions."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Session) as made:
        made.daemon_threads = True
        found: Any = made
        found.sessions = 0
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        yield made
        made.shutdown()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("550 No such file or directory", NotFound),
        ("450 path /backups/gpbackup_20260101120000_toc.yaml not found", NotFound),  # rclone's
        ("450 the file is busy", Unreachable),
        ("450 file unavailable", Unreachable),
    ],
)
def test_a_missing_file_is_told_from_a_busy_one(server: Any, said: str, kind: type[StorageError]) -> None:
    server.size = said.encode()
    store = open_store("ftp://127.0.0.1/backups", {"port": server.server_address[1]}, timeout=5)
    for _ in range(2):
        with pytest.raises(StorageError) as caught:
            store.stat("gpbackup_20260101120000_toc.yaml")
        assert type(caught.value) is kind
    assert server.sessions == (1 if kind is NotFound else 2)  # an answer, and not a connection that broke
    store.close()
