"""A host on which the hooks of a restore run, and a store of recorded backups that remembers what was listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsspec_gp_plugin.log import Log
from fsspec_gp_plugin.process import Streams
from fsspec_gp_plugin.protocol import hooks
from fsspec_gp_plugin.protocol.context import Context
from fsspec_gp_plugin.storage.contract import ObjectInfo
from tests.fakes import FakeStore
from tests.recorded import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


BY_GPBACKUP = "the target was compared with gpbackup's config file and table of contents"


class Store(FakeStore):
    """Holds backups; some objects are in its archive, and it remembers what was listed."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.archived: set[str] = set()
        self.listed: list[str] = []
        for name in names:
            self.objects.update(recorded(name).objects)

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        self.listed.append(prefix)
        for info in super().find(prefix, unfinished=unfinished):
            yield ObjectInfo(info.key, info.size, info.version, archived=info.key in self.archived)


class Host:
    """Where the hooks of a restore run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.options = ""

    def context(self, store: FakeStore | None = None) -> Context:
        config = self._folder / "config.yaml"
        options = f"  url: s3://bucket\n  state_directory: {self._folder}/state\n{self.options}"
        config.write_text(f"executablepath: /x\noptions:\n{options}")
        return Context(Streams(0, 1, 2), Log(str(self._folder / "log")), "test", str(config), store)

    def set_up(self, store: FakeStore, name: str, scope: str = "coordinator", content: str = "") -> None:
        directory = f"/data/gpseg-1/{recorded(name).prefix}".rstrip("/")
        hooks.setup_plugin_for_restore(self.context(store), directory, scope, content)

    def log(self) -> str:
        path = self._folder / "log"
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        return "".join(one.read_text() for one in files if one.is_file())
