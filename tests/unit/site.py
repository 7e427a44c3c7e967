"""A host whose backups have a target and a replica, both stores in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsspec_gp_plugin.log import Log
from fsspec_gp_plugin.process import Streams
from fsspec_gp_plugin.protocol.context import Context
from fsspec_gp_plugin.protocol.targets import Resources

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.config.loading import Config
    from tests.fakes import FakeStore

T, OTHER = "20260101120000", "20260101110000"
PREFIX = f"backups/20260101/{T}/"
FIRST, SECOND = "s3://first", "s3://second"


def named(name: str, timestamp: str = T) -> str:
    return f"backups/20260101/{timestamp}/gpbackup_{timestamp}_{name}"


def backup_of(timestamp: str) -> dict[str, bytes]:
    names = ("toc.yaml", "report", "metadata.sql")
    table = f"backups/20260101/{timestamp}/gpbackup_0_{timestamp}_16384"
    return {**{named(name, timestamp): name.encode() for name in names}, table: b"data" * 1000}


class Given(Resources):
    """The stores that a test has made, by their URLs; and what each was asked to wait for."""

    def __init__(self, stores: dict[str, FakeStore]) -> None:
        super().__init__()
        self._stores = stores
        self.timeouts: list[tuple[str, float]] = []

    def store(self, config: Config) -> FakeStore:
        self.timeouts.append((config.url, config.timeout))
        return self._stores[config.url]


class Site:
    """Both hold two backups."""

    def __init__(self, folder: Path, first: FakeStore, second: FakeStore, *options: str) -> None:
        self.first, self.second = first, second
        for store in (first, second):
            store.objects.update(backup_of(T) | backup_of(OTHER))
        self.resources = Given({FIRST: first, SECOND: second})
        self.folder = folder
        self._config = folder / "config.yaml"
        lines = [f"url: {FIRST}", f"replica_url: {SECOND}", *options]
        self._config.write_text("executablepath: /x\noptions:\n" + "".join(f"  {line}\n" for line in lines))

    def context(self, command: str, stdout: int = -1) -> Context:
        """What a command works with; without `stdout` it can't write anything there."""
        log = Log(str(self.folder / "log"))
        return Context(Streams(0, stdout, 2), log, command, str(self._config), resources=self.resources)
