"""MinIO, started by the tests on a loopback port of its own.

The executable is built by scripts/test from the Go module; GP_PLUGIN_MINIO names another one.
"""

from __future__ import annotations

import os
import shutil
import ssl
from base64 import b64encode
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from tests.servers.ports import reserve_port
from tests.servers.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.servers.certificates import Certificates

USER, PASSWORD = "minio-test-user", "minio-test-password"
# Buckets are hosts below this name too, for those whom a proxy leads here.
DOMAIN = "minio.test"
# What objects are encrypted with, where a request asks for it.
KMS_KEY = "test-key"


_FILESYSTEMS: dict[str, Any] = {}


@dataclass(frozen=True)
class Minio:
    """A running server: its endpoint, and a bucket made for the tests."""

    endpoint: str
    bucket: str
    certificates: Certificates | None = None

    @property
    def options(self) -> dict[str, Any]:
        """storage_options for s3fs."""
        trust = {"client_kwargs": {"verify": str(self.certificates.authority)}} if self.certificates else {}
        return {"endpoint_url": self.endpoint, "key": USER, "secret": PASSWORD, **trust}

    def filesystem(self) -> Any:
        """A client of the tests' own, to look at what the plugin did."""
        import s3fs

        # One for each server: making one costs as much as many requests.
        if self.endpoint not in _FILESYSTEMS:
            made = s3fs.S3FileSystem(**self.options, skip_instance_cache=True, use_listings_cache=False)
            _FILESYSTEMS[self.endpoint] = made
        return _FILESYSTEMS[self.endpoint]

    def unfinished_uploads(self, key: str = "") -> list[str]:
        """The keys of multipart uploads that were neither completed nor aborted.

        Without a key MinIO lists those that were begun since it started, with one all of that very key.
        """
        answer = self.filesystem().call_s3("list_multipart_uploads", Bucket=self.bucket, Prefix=key)
        return [upload["Key"] for upload in answer.get("Uploads", ())]

    def requests(self, name: str) -> int:
        """How many requests of a kind, such as GetObject, came since the start."""
        with _open(f"{self.endpoint}/minio/metrics/v3/api/requests", self.certificates) as answer:
            lines = answer.read().decode().splitlines()
        wanted = f'minio_api_requests_total{{name="{name}",'
        return sum(int(float(line.split()[-1])) for line in lines if line.startswith(wanted))


def executable() -> str | None:
    """Where MinIO is, or None."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    candidates = [os.environ.get("GP_PLUGIN_MINIO"), f"{cache}/fsspec_gp_plugin/bin/minio", shutil.which("minio")]
    return next((path for path in candidates if path and os.access(path, os.X_OK)), None)


class MinioServer:
    """MinIO with its data below a folder that is not on tmpfs. It keeps its port when it is started again.

    With certificates it speaks TLS only.
    """

    def __init__(
        self,
        program: str,
        folder: Path,
        certificates: Certificates | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """`variables`: others of MinIO's own."""
        port = reserve_port()
        scheme = "https" if certificates else "http"
        self.minio = Minio(f"{scheme}://127.0.0.1:{port}", "gp-backups", certificates)
        tls = ["--certs-dir", str(certificates.folder)] if certificates else []
        address = f"127.0.0.1:{port}"
        environment = {
            "MINIO_ROOT_USER": USER,
            "MINIO_ROOT_PASSWORD": PASSWORD,
            "MINIO_BROWSER": "off",
            "MINIO_DOMAIN": DOMAIN,
            "MINIO_KMS_SECRET_KEY": f"{KMS_KEY}:{b64encode(b'k' * 32).decode()}",
            "MINIO_PROMETHEUS_AUTH_TYPE": "public",  # requests() asks for it
            **(variables or {}),
        }
        command = [program, "server", "--address", address, "--quiet", *tls, str(folder / "data")]
        self.program = Program(command, folder, self._require_ready, environment)

    def __enter__(self) -> MinioServer:
        with ExitStack() as stack:
            stack.enter_context(self.program)
            self.minio.filesystem().mkdir(self.minio.bucket)
            stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.program.__exit__(*error)

    def start(self) -> None:
        """Start it again, and wait until it takes requests."""
        self.program.start()

    def kill(self) -> None:
        """End it as a crash does."""
        self.program.kill()

    def _require_ready(self) -> None:
        _open(f"{self.minio.endpoint}/minio/health/ready", self.minio.certificates).close()


def run(
    program: str, folder: Path, certificates: Certificates | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[Minio]:
    """Start the server; stop it after the yield."""
    with MinioServer(program, folder, certificates, variables) as server:
        yield server.minio


def _open(url: str, certificates: Certificates | None) -> Any:
    context = ssl.create_default_context(cafile=str(certificates.authority)) if certificates else None
    return urlopen(url, timeout=2, context=context)  # noqa: S310 - our own loopback server
