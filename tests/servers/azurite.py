"""Azurite, Microsoft's emulator of Azure Blob Storage, started by the tests on a loopback port of its own.

tests/servers/install_azure installs it from npm.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.servers.ports import reserve_port
from tests.servers.program import Program, connects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.certificates import Certificates

ACCOUNT = "devstoreaccount1"
# The emulator's well-known key, which Microsoft's documentation prints.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Azurite:
    """A running server, and a container made for the tests."""

    endpoint: str
    container: str
    certificates: Certificates | None = None

    @property
    def url(self) -> str:
        """The container's URL."""
        return f"abfs://{self.container}"

    @property
    def options(self) -> dict[str, Any]:
        """storage_options for adlfs."""
        return options(self.endpoint)

    def client(self) -> Any:
        """A client of the tests' own for the container, to be closed."""
        from azure.storage.blob import ContainerClient

        verify: dict[str, Any] = {"connection_verify": str(self.certificates.authority)} if self.certificates else {}
        return ContainerClient.from_connection_string(
            self.options["connection_string"], self.container, retry_total=0, **verify
        )


def options(endpoint: str, key: str = KEY) -> dict[str, Any]:
    """storage_options for a server at another address, such as a proxy's; or with another key."""
    scheme = endpoint.partition("://")[0]
    words = (
        f"DefaultEndpointsProtocol={scheme}",
        f"AccountName={ACCOUNT}",
        f"AccountKey={key}",
        f"BlobEndpoint={endpoint}/{ACCOUNT}",
    )
    return {"connection_string": ";".join(words)}


def executable() -> str | None:
    """Where Azurite is, or None."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    program = f"{cache}/fsspec_gp_plugin/azurite/node_modules/.bin/azurite-blob"
    return program if os.path.exists(f"{cache}/fsspec_gp_plugin/azurite/version") and shutil.which("node") else None


def run(program: str, folder: Path, certificates: Certificates | None = None) -> Iterator[Azurite]:
    """Start the server; stop it after the yield. With certificates it speaks TLS only, and takes any bearer token."""
    port = reserve_port()
    scheme = "https" if certificates else "http"
    server = Azurite(f"{scheme}://127.0.0.1:{port}", "gp-backups", certificates)
    tls = ["--cert", str(certificates.chain), "--key", str(certificates.key)] if certificates else []
    command = [
        program,
        *("--blobHost", "127.0.0.1", "--blobPort", str(port)),
        *("--silent", "--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence"),
        *(tls and ["--oauth", "basic", *tls]),
    ]
    with Program(command, folder, connects(port)):
        with server.client() as client:
            client.create_container()
        yield server
