"""pyftpdlib, an FTP server, as a process of its own on a loopback port; with certificates it speaks TLS only.

`python -m tests.servers.ftp FOLDER PORT [CERTIFICATE KEY]` is that process.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers.ports import reserve_port
from tests.servers.program import Program, connects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.certificates import Certificates

USER, PASSWORD = "ftp-user", "ftp-test-password"


@dataclass(frozen=True)
class Ftp:
    """A running server; `folder` is what it shows as /."""

    port: int
    folder: Path
    program: Program
    certificates: Certificates | None

    @property
    def url(self) -> str:
        return "ftp://127.0.0.1/backups"

    @property
    def options(self) -> dict[str, Any]:
        tls = {"tls": True, "tls_verify": str(self.certificates.authority)} if self.certificates else {}
        return {"port": self.port, "username": USER, "password": PASSWORD, **tls}


@contextmanager
def run(folder: Path, certificates: Certificates | None = None) -> Iterator[Ftp]:
    """Start it; stop it after the yield."""
    root, port = folder / "root", reserve_port()
    root.mkdir()
    files = [str(certificates.chain), str(certificates.key)] if certificates else []
    command = [sys.executable, "-m", "tests.servers.ftp", str(root), str(port), *files]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    with Program(command, folder, connects(port), environment) as process:
        yield Ftp(port, root, process, certificates)


def serve(root: str, port: int, chain: str | None = None, key: str | None = None) -> None:
    """Serve until the process is ended."""
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
    from pyftpdlib.servers import ThreadedFTPServer

    handler: Any = TLS_FTPHandler if chain else FTPHandler
    if chain:
        handler.certfile, handler.keyfile = chain, key
        handler.tls_control_required = handler.tls_data_required = True
    handler.authorizer = DummyAuthorizer()
    handler.authorizer.add_user(USER, PASSWORD, root, perm="elradfmwMT")
    handler.authorizer.add_user("reader", PASSWORD, root, perm="elr")
    ThreadedFTPServer(("127.0.0.1", port), handler).serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
