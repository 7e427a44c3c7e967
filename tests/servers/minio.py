"""MinIO, started by the tests on a loopback port of its own.

The executable is built by scripts/test from the Go module; GP_PLUGIN_MINIO names another one.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER, PASSWORD = "minio-test-user", "minio-test-password"


@dataclass(frozen=True)
class Minio:
    """A running server: its endpoint, and a bucket made for the tests."""

    endpoint: str
    bucket: str

    @property
    def options(self) -> dict[str, Any]:
        """storage_options for s3fs."""
        return {"endpoint_url": self.endpoint, "key": USER, "secret": PASSWORD}

    def filesystem(self) -> Any:
        """A client of the tests' own, to look at what the plugin did."""
        import s3fs

        return s3fs.S3FileSystem(**self.options, skip_instance_cache=True, use_listings_cache=False)

    def unfinished_uploads(self) -> list[str]:
        """The keys of multipart uploads that were neither completed nor aborted."""
        answer = self.filesystem().call_s3("list_multipart_uploads", Bucket=self.bucket)
        return [upload["Key"] for upload in answer.get("Uploads", ())]


def executable() -> str | None:
    """Where MinIO is, or None."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    candidates = [os.environ.get("GP_PLUGIN_MINIO"), f"{cache}/fsspec_gp_plugin/bin/minio", shutil.which("minio")]
    return next((path for path in candidates if path and os.access(path, os.X_OK)), None)


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def run(program: str, folder: Path) -> Iterator[Minio]:
    """Start the server with its data below a folder that is not on tmpfs; stop it after the yield."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "MINIO_ROOT_USER": USER,
        "MINIO_ROOT_PASSWORD": PASSWORD,
        "MINIO_BROWSER": "off",
    }
    with open(folder / "minio.log", "wb") as log:
        process = subprocess.Popen(
            [program, "server", "--address", f"127.0.0.1:{port}", "--quiet", str(folder / "data")],
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        _wait_until_ready(endpoint, process)
        server = Minio(endpoint, "gp-backups")
        server.filesystem().mkdir(server.bucket)
        yield server
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_ready(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"minio ended with status {process.returncode}")
        try:
            with urlopen(f"{endpoint}/minio/health/ready", timeout=2):  # noqa: S310 - our own loopback server
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("minio did not become ready")
