"""What setup for a restore compares with the manifests: all of a small backup at once, of a large one each its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import NotFound, StorageError
from fsspec_gp_plugin.integrity.entries import Entry
from fsspec_gp_plugin.log import Log
from fsspec_gp_plugin.process import Streams
from fsspec_gp_plugin.protocol import hooks
from fsspec_gp_plugin.protocol.context import Context
from fsspec_gp_plugin.storage.contract import Capabilities
from tests.made_manifests import put_manifest
from tests.unit.restore_host import Store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes import FakeStore


T = "20260101120000"
DIRECTORY = f"/data/gpseg-1/backups/20260101/{T}"
PREFIX = f"backups/20260101/{T}/"
# Of more objects the coordinator's hook compares only its own.
MOST_AT_ONCE = 10_000
END = [f"gpbackup_{T}_toc.yaml", f"gpbackup_{T}_report"]


def back_up(objects: int, segments: int = 2) -> Store:
    """A backup of so many objects: the coordinator's, and tables of the segments; and its manifest."""
    store = Store()
    tables = [f"gpbackup_{number % segments}_{T}_{number}" for number in range(objects - len(END))]
    store.objects = {f"{PREFIX}{name}": b"data" for name in (*END, *tables)}
    entries = sorted(Entry(name, 4, 0) for name in (*END, *tables))
    put_manifest(store, PREFIX, entries)
    return store


class Host:
    """Where the hooks of a restore run."""

    def __init__(self, folder: Path, store: FakeStore) -> None:
        self._folder = folder
        self._store = store
        (folder / "config.yaml").write_text("executablepath: /x\noptions:\n  url: s3://bucket\n")

    def set_up(self, scope: str, content: str = "") -> None:
        log = Log(str(self._folder / "log"))
        context = Context(Streams(0, 1, 2), log, "test", str(self._folder / "config.yaml"), self._store)
        hooks.setup_plugin_for_restore(context, DIRECTORY, scope, content)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three objects are many."""
    monkeypatch.setattr("fsspec_gp_plugin.protocol.restoring._FEW", 3)


@pytest.mark.parametrize(("objects", "is_told"), [(MOST_AT_ONCE, True), (MOST_AT_ONCE + 1, False)])
def test_the_coordinators_hook_compares_all_of_ten_thousand_objects(home: Path, objects: int, is_told: bool) -> None:
    store = back_up(objects)
    del store.objects[f"{PREFIX}gpbackup_1_{T}_1"]
    host = Host(home, store)
    if not is_told:
        host.set_up("master", "-1")
        return
    with pytest.raises(NotFound, match=f"1 of {objects} objects is missing: .*gpbackup_1_{T}_1; .* manifests"):
        host.set_up("master", "-1")


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_each_segment_of_a_large_backup_compares_its_own(home: Path, damage: str) -> None:
    store = back_up(8)
    if damage == "gone":
        del store.objects[f"{PREFIX}gpbackup_1_{T}_1"]
    else:
        store.objects[f"{PREFIX}gpbackup_1_{T}_1"] = b"cut"
    host = Host(home, store)
    host.set_up("master", "-1")
    store.listed.clear()
    host.set_up("segment", "0")
    # No hook lists all of a large backup.
    assert store.listed == [f"{PREFIX}gpbackup_0_{T}"]
    told = f"1 of 3 objects is missing: .*gpbackup_1_{T}_1;|gpbackup_1_{T}_1 has 3 bytes, but 4 were backed up"
    with pytest.raises(StorageError, match=told):
        host.set_up("segment", "1")


@pytest.mark.usefixtures("few")
def test_the_coordinators_hook_compares_its_own_of_a_large_backup(home: Path) -> None:
    store = back_up(8)
    store.objects[f"{PREFIX}gpbackup_{T}_report"] += b"more"
    with pytest.raises(StorageError, match="report has 8 bytes, but 4 were backed up"):
        Host(home, store).set_up("coordinator", "-1")
    assert PREFIX not in store.listed


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("segments", [2, 40])
def test_where_a_listing_is_one_of_the_whole_directory_a_segment_looks_by_name(home: Path, segments: int) -> None:
    """If the directory has many times as many objects as the segment needs."""
    store = back_up(segments * 3 + 2, segments)
    store.capabilities = Capabilities(parallel_parts=True, parallel_reads=True, lists_by_prefix=False)
    gone = f"{PREFIX}gpbackup_1_{T}_1"
    del store.objects[gone]
    host = Host(home, store)
    host.set_up("segment_host", "")
    store.listed.clear()
    host.set_up("segment", "0")
    assert store.listed == ([f"{PREFIX}gpbackup_0_{T}"] if segments == 2 else [])
    with pytest.raises(NotFound, match=f"1 of 3 objects is missing: {gone}"):
        host.set_up("segment", "1")
