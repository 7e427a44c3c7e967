"""WsgiDAV behind cheroot, a WebDAV server, as a process of its own on a loopback port.

What it has is also to be read without a password, as by any web server, below /public.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.servers.ports import reserve_port
from tests.servers.program import Program, connects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER, PASSWORD = "dav-user", "dav-test-password"


@dataclass(frozen=True)
class Webdav:
    """A running server; `folder` is what it shows as /."""

    port: int
    folder: Path
    program: Program

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Its root; the host is an option."""
        return "webdav:/"

    @property
    def options(self) -> dict[str, Any]:
        return {"base_url": self.base_url, "auth": [USER, PASSWORD]}


@contextmanager
def run(folder: Path) -> Iterator[Webdav]:
    """Start it; stop it after the yield."""
    root, port, configuration = folder / "root", reserve_port(), folder / "wsgidav.json"
    root.mkdir()
    said = {
        "host": "127.0.0.1",
        "port": port,
        "provider_mapping": {"/": str(root), "/public": {"root": str(root), "readonly": True}},
        "simple_dc": {"user_mapping": {"*": {USER: {"password": PASSWORD}}, "/public": True}},
        "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
        "property_manager": True,
        "lock_storage": True,
        "verbose": 1,
    }
    configuration.write_text(json.dumps(said))
    command = [sys.executable, "-c", "from wsgidav.server.server_cli import run; run()", "--config", str(configuration)]
    with Program(command, folder, connects(port)) as process:
        yield Webdav(port, root, process)
