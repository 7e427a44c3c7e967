"""fake-gcs-server, started by the tests on a loopback port of its own. It keeps its objects in memory.

The executable is built by scripts/test from the Go module; GP_PLUGIN_FAKE_GCS names another one.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

from tests.servers.ports import reserve_port
from tests.servers.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "gp-backups"


@dataclass(frozen=True)
class Gcs:
    """A running server with a bucket made for the tests."""

    endpoint: str
    url: str = f"gs://{BUCKET}"

    @property
    def options(self) -> dict[str, Any]:
        """storage_options for gcsfs."""
        return {"endpoint_url": self.endpoint, "token": "anon"}


def executable() -> str | None:
    """Where fake-gcs-server is, or None."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    candidates = [
        os.environ.get("GP_PLUGIN_FAKE_GCS"),
        f"{cache}/fsspec_gp_plugin/bin/fake-gcs-server",
        shutil.which("fake-gcs-server"),
    ]
    return next((path for path in candidates if path and os.access(path, os.X_OK)), None)


@contextmanager
def running(program: str, folder: Path) -> Iterator[Gcs]:
    """The server, until the block ends."""
    port = reserve_port()
    endpoint = f"http://127.0.0.1:{port}"
    words = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory", "-log-level", "info"]

    def ready() -> None:
        urlopen(f"{endpoint}/_internal/healthcheck", timeout=2).close()  # noqa: S310 - our own

    with Program([program, *words, "-external-url", endpoint], folder, ready):
        body = f'{{"name": "{BUCKET}"}}'.encode()
        with urlopen(Request(f"{endpoint}/storage/v1/b?project=test", body, {"Content-Type": "application/json"})):  # noqa: S310 - our own
            pass
        yield Gcs(endpoint)
