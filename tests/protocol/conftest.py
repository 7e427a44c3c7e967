"""Each protocol test runs on disk and on S3, and what is marked `every_target` on all others as well."""

from __future__ import annotations

import itertools
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.storage.open import open_store
from tests.protocol.caller import Database, Plugin, write_config

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import Store
    from tests.servers.minio import Minio

_unique = itertools.count()
PART = 5 << 20
# Each is the name of the fixture that runs its server, too; Google's takes uploads in parts.
TARGETS = ("file", "s3", "gcs", "azure", "sftp", "hdfs", "smb", "ftp", "webdav")


@dataclass
class Target:
    """Where the backups go, and a view of it that is not the plugin's."""

    kind: str
    url: str
    options: dict[str, Any]
    minio: Minio | None = None
    view: Store | None = None

    def keys(self) -> list[str]:
        """All that is there, unfinished things included."""
        with self.store() as store:
            found = sorted(info.key for info in store.find("", unfinished=True))
        return found + self.unfinished_uploads()

    @contextmanager
    def store(self) -> Iterator[Store]:
        """A store of the test's own, kept where the test's fixture will close it."""
        store = self.view or open_store(self.url, self.options)
        try:
            yield store
        finally:
            if self.view is None:
                store.close()

    def wait_for_upload(self, process: subprocess.Popen[bytes]) -> None:
        """Until a process's upload has begun; if it ends before, its last words are the failure."""
        begun = self._blocks if self.kind == "azure" else self.keys
        deadline = time.monotonic() + 20
        while not begun():
            if process.poll() not in (None, 0):
                process.kill()
                raise AssertionError((process.returncode, process.communicate()))
            assert time.monotonic() < deadline, "no upload begins"
            time.sleep(0.05)

    def _blocks(self) -> list[str]:
        """Names that have blocks on Azure which no object has yet, and objects."""
        with self.store() as store:
            return [upload.key for upload in store.find_uploads("")] + self.keys()

    def unfinished_uploads(self) -> list[str]:
        """Multipart uploads of this target that were neither completed nor aborted."""
        if self.kind == "gcs":
            with self.store() as store:
                return [f"unfinished {upload.key}" for upload in store.find_uploads("")]
        if self.minio is None:
            return []
        prefix = self.url.removeprefix(f"s3://{self.minio.bucket}/") + "/"
        return [f"unfinished {key}" for key in self.minio.unfinished_uploads() if key.startswith(prefix)]

    def put(self, names: list[str]) -> None:
        """Make many small objects."""
        if self.minio is not None:
            root = self.url.removeprefix("s3://")
            self.minio.filesystem().pipe({f"{root}/{name}": b"x" for name in names}, batch_size=32)
            return
        with self.store() as store:
            for name in names:
                store.put(name, memoryview(b"x"))


def unique_prefix() -> int:
    """A number that no other test of this run gets."""
    return next(_unique)


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    made = _target(request, tmp_path)
    made.view = open_store(made.url, made.options)
    yield made
    made.view.close()


def _target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    kind: str = request.param
    if kind == "file":
        (tmp_path / "target").mkdir()
        return Target(kind, f"file://{tmp_path}/target", {})
    if kind == "s3":
        minio = request.getfixturevalue("minio")
        return Target(kind, f"s3://{minio.bucket}/protocol/{unique_prefix()}", minio.options, minio)
    server = request.getfixturevalue({"gcs": "gcs_in_parts"}.get(kind, kind))
    return Target(kind, f"{server.url}/protocol/{unique_prefix()}", server.options)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    folder = tmp_path / "host"
    folder.mkdir(mode=0o700)
    return Database(folder)


@pytest.fixture
def plugin(target: Target, database: Database) -> Iterator[Plugin]:
    config = write_config(
        database.folder / "20260102030405_plugin.yaml",
        target.url,
        target.options,
        backup_multipart_chunksize="5MB",
        restore_multipart_chunksize="5MB",
    )
    yield Plugin(database, config)
    # Whatever a test did, a log that holds anything but our lines means that a library found a way out.
    for line in database.log().splitlines():
        assert " fsspec_gp_plugin:" in line, line


@pytest.fixture
def local(tmp_path: Path, database: Database) -> Plugin:
    """A plugin on disk, for what is the same on every target."""
    (tmp_path / "disk").mkdir()
    return Plugin(database, write_config(database.folder / "local.yaml", f"file://{tmp_path}/disk"))
