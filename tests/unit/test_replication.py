"""What replicating and deleting touch at a target and at its replica, and when a copy counts as complete."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import ConfigError, StorageError
from fsspec_gp_plugin.protocol import directories, replica_copy, replication
from tests.fakes import FakeStore
from tests.unit.site import FIRST, OTHER, Site, T, backup_of, named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import ObjectInfo


def replicate(site: Site) -> None:
    with open(os.devnull, "wb") as nobody:
        replication.replicate_backup(site.context("replicate_backup", nobody.fileno()), T)


def test_deleting_a_backup_leaves_its_replica_alone(site: Site) -> None:
    directories.delete_backup(site.context("delete_backup"), T)
    assert site.first.objects == backup_of(OTHER)
    assert site.second.objects == backup_of(T) | backup_of(OTHER)
    assert [url for url, _ in site.resources.timeouts] == [FIRST]


def test_deleting_a_replica_leaves_the_backup_alone(site: Site) -> None:
    replication.delete_replica(site.context("delete_replica"), T)
    assert site.first.objects == backup_of(T) | backup_of(OTHER)
    assert site.second.objects == backup_of(OTHER)


def test_a_replica_that_is_the_target_itself_is_not_deleted(tmp_path: Path) -> None:
    """One place has many names."""
    store = FakeStore()
    site = Site(tmp_path, store, store)
    with pytest.raises(ConfigError, match="is the same place as `url`, by another name"):
        replication.delete_replica(site.context("delete_replica"), T)
    assert store.objects == backup_of(T) | backup_of(OTHER)


class ForgetfulStore(FakeStore):
    """Has an object, and lists it not at all or in another size."""

    how = "not at all"

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        for info in super().find(prefix, unfinished=unfinished):
            if info.key != named("metadata.sql"):
                yield info
            elif self.how != "not at all":
                yield type(info)(info.key, info.size + 1)


@pytest.mark.parametrize("checksum", ["crc32c", "off"])
@pytest.mark.parametrize("how", ["not at all", "in another size"])
def test_a_copy_is_complete_when_its_listing_is_that_of_the_backup(tmp_path: Path, how: str, checksum: str) -> None:
    """Also what no manifest names."""
    second = ForgetfulStore()
    second.how = how
    site = Site(tmp_path, FakeStore(), second, f"checksum: '{checksum}'")
    with pytest.raises(
        StorageError, match=r"metadata\.sql was copied, and is not in the replica's listing with its 12"
    ):
        replicate(site)


def test_a_copy_has_all_objects_of_the_backup_and_no_others(site: Site) -> None:
    site.second.objects.clear()
    replicate(site)
    assert site.second.objects == backup_of(T)


class Copied:
    """Which objects are on their way at once, and in which order each began."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.together: list[set[str]] = []
        self._running: set[str] = set()
        self._lock = threading.Lock()

    def reading(self, method: str, key: str, _: int) -> None:
        if method == "fetch" and "/fsspec_gp_plugin/" not in key:
            with self._lock:
                self.began.append(key)
                self._running.add(key)
                self.together.append(set(self._running))

    def written(self, method: str, key: str, _: int) -> None:
        if method in ("put", "complete"):
            with self._lock:
                self._running.discard(key)


def test_large_objects_are_copied_last_and_each_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their parts are large, and each takes the memory of all."""
    assert replica_copy._LARGE == 8 << 30
    monkeypatch.setattr(replica_copy, "_LARGE", 1 << 20)
    copied = Copied()
    site = Site(tmp_path, FakeStore(copied.reading), FakeStore(copied.written), "checksum: 'off'")
    site.second.objects.clear()
    sizes = {f"large{number}": (1 << 20) + 1 for number in range(3)} | {
        f"small{number}": 1 << 20 for number in range(6)
    }
    for name, size in sizes.items():
        site.first.objects[named(name)] = bytes(size)
    replicate(site)
    large = {named(name) for name in sizes if name.startswith("large")}
    small = {named(name) for name in sizes if name.startswith("small")}
    order = [key for key in copied.began if key in large | small]
    assert set(order[:6]) == small
    assert set(order[6:]) == large
    for running in copied.together:
        assert not running & large or len(running) == 1
    assert site.second.objects[named("large0")] == bytes((1 << 20) + 1)


def test_a_large_object_has_no_more_parts_than_a_store_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert replica_copy._PARTS < 10_000
    monkeypatch.setattr(replica_copy, "_LARGE", 1 << 20)
    monkeypatch.setattr(replica_copy, "_PARTS", 3)
    site = Site(tmp_path, FakeStore(), FakeStore(single_request_put=False), "backup_multipart_chunksize: 256KB")
    site.second.objects.clear()
    site.first.objects[named("large")] = os.urandom(5 << 20)
    replicate(site)
    parts = {number for method, key, number in site.second.calls if (method, key) == ("write", named("large"))}
    assert parts == {1, 2, 3}
    assert site.second.objects[named("large")] == site.first.objects[named("large")]
