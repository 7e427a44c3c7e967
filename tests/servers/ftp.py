"""pyftpdlib, an FTP server, as a process of its own on a loopback port; with certificates it speaks TLS only.

`python -m tests.servers.ftp SETTINGS` is that process; they are those of serve(), as JSON.
"""

from __future__ import annotations

import json
import re
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
def run(
    folder: Path, certificates: Certificates | None = None, data_ports: dict[int, int] | None = None
) -> Iterator[Ftp]:
    """Start it; stop it after the yield. `data_ports` as of serve()."""
    root, port = folder / "root", reserve_port()
    root.mkdir()
    settings: dict[str, Any] = {"root": str(root), "port": port}
    if certificates:
        settings |= {"chain": str(certificates.chain), "key": str(certificates.key)}
    if data_ports:
        settings["data_ports"] = list(data_ports.items())
    command = [sys.executable, "-m", "tests.servers.ftp", json.dumps(settings)]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    with Program(command, folder, connects(port), environment) as process:
        yield Ftp(port, root, process, certificates)


def serve(
    root: str,
    port: int,
    chain: str | None = None,
    key: str | None = None,
    data_ports: list[tuple[int, int]] | None = None,
) -> None:
    """Serve until the process is ended. Each data connection goes to one of the first ports of `data_ports`; clients
    are told the second one, where a proxy listens.
    """
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
    if data_ports:
        told = dict(data_ports)

        class Misleading(handler):  # type: ignore[misc]
            passive_ports = tuple(told)

            def respond(self, resp: str, *more: Any, **how: Any) -> None:
                found = re.fullmatch(r"(227 .*,)([0-9]+),([0-9]+)\)\.", resp)
                if found:
                    port = int(found[2]) * 256 + int(found[3])
                    other = told.get(port, port)  # any port, where all of them are still in use
                    resp = f"{found[1]}{other // 256},{other % 256})."
                super().respond(resp, *more, **how)

        handler = Misleading
    ThreadedFTPServer(("127.0.0.1", port), handler).serve_forever()


if __name__ == "__main__":
    serve(**json.loads(sys.argv[1]))
