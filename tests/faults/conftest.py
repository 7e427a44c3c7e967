"""The plugin, a proxy and MinIO: each test has a proxy and a prefix of its own."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.protocol.caller import Database, Plugin, Result, write_config
from tests.protocol.conftest import Target
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.minio import Minio

BIG, SMALL = 24_000_000, 100_000
# Seconds of a pause or an outage: 180 is the real thing, but what matters is that no time-out of a test is longer.
PATIENCE = float(os.environ.get("GP_PLUGIN_PATIENCE", "20"))

_unique = itertools.count()


@dataclass
class Scene:
    """A plugin that reaches its target through a proxy only."""

    plugin: Plugin
    proxy: Proxy
    target: Target

    def configure(self, **options: str) -> None:
        """Use other options than the usual ones, which are made for quick tests."""
        usual = {"timeout": "2s", "backup_multipart_chunksize": "5MB", "restore_multipart_chunksize": "5MB"}
        through = {**self.target.options, "endpoint_url": self.proxy.endpoint}
        write_config(self.plugin.config, self.target.url, through, **{**usual, **options})

    def put(self, path: str, content: bytes) -> None:
        """Store an object without the plugin and without the proxy."""
        self._minio.filesystem().pipe_file(self._there(path), content)

    def content(self, path: str) -> bytes:
        """The object of a path, fetched without the plugin and without the proxy."""
        content: bytes = self._minio.filesystem().cat_file(self._there(path))
        return content

    @property
    def _minio(self) -> Minio:
        assert self.target.minio is not None
        return self.target.minio

    def _there(self, path: str) -> str:
        return f"{self.target.url.removeprefix('s3://')}/{self.plugin.database.key(path)}"


@dataclass
class Stored:
    """Objects that the plugin stored without disturbance, for tests that only read."""

    url: str
    content: dict[str, bytes]

    def path(self, database: Database, name: str) -> str:
        """Where the named object, "big" or "small", belongs on a host."""
        return database.table() if name == "big" else database.file(f"gpbackup_{database.timestamp}_toc.yaml")


def make_database(folder: Path) -> Database:
    folder.mkdir(mode=0o700)
    return Database(folder)


def make_scene(proxy: Proxy, minio: Minio, database: Database) -> Scene:
    """A place of its own, empty."""
    target = Target("s3", f"s3://{minio.bucket}/faults/{next(_unique)}", minio.options, minio)
    scene = Scene(Plugin(database, database.folder / "plugin.yaml"), proxy, target)
    scene.configure()
    return scene


@pytest.fixture(scope="session")
def stored(minio: Minio, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    database = make_database(tmp_path_factory.mktemp("stored") / "host")
    stored = Stored(f"s3://{minio.bucket}/faults-stored", {"big": os.urandom(BIG), "small": os.urandom(SMALL)})
    plugin = Plugin(database, write_config(database.folder / "plugin.yaml", stored.url, minio.options))
    for name, content in stored.content.items():
        plugin.run("backup_data", stored.path(database, name), stdin=content).succeeded()
    return stored


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return make_database(tmp_path / "host")


@pytest.fixture
def proxy(minio: Minio) -> Iterator[Proxy]:
    with Proxy(minio.endpoint) as running:
        yield running


@pytest.fixture
def scene(proxy: Proxy, minio: Minio, database: Database) -> Scene:
    return make_scene(proxy, minio, database)


@pytest.fixture
def reading(scene: Scene, stored: Stored) -> Iterator[Scene]:
    """The place where the stored objects are. No restore may leave anything there."""
    scene.target.url = stored.url
    scene.configure()
    yield scene
    assert len(scene.target.keys()) == 2


def digest(content: bytes) -> str:
    """What two contents are compared by: a difference between the contents themselves is nothing to look at."""
    return f"{len(content)} bytes, {hashlib.sha256(content).hexdigest()}"


def take(process: subprocess.Popen[bytes], size: int) -> bytes:
    """The next bytes of a process's output, and none more, so that `end` gets the rest."""
    assert process.stdout is not None
    content = b""
    while len(content) < size and (piece := os.read(process.stdout.fileno(), size - len(content))):
        content += piece
    return content


def end(process: subprocess.Popen[bytes], stdin: bytes | None = None, seconds: float = 60) -> Result:
    """Give a process the rest of its input, take the rest of its output; one that hangs is killed."""
    try:
        out, err = process.communicate(stdin, timeout=seconds)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    return Result(process.returncode, out, err.decode())
