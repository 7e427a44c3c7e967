"""Restores of large backups: each segment's hook looks for its own, at a cost that doesn't grow with the hosts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.backups.required import read_required
from fsspec_gp_plugin.errors import AccessDenied, NotFound
from fsspec_gp_plugin.integrity import marks
from fsspec_gp_plugin.integrity.entries import Entry
from fsspec_gp_plugin.protocol.fetching import entry_of
from tests.fakes import FakeStore
from tests.made_manifests import put_manifest
from tests.recorded import CHAIN, recorded
from tests.unit.restore_host import BY_GPBACKUP, Host, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import ObjectInfo, Page


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Host(tmp_path)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three objects are many."""
    monkeypatch.setattr("fsspec_gp_plugin.protocol.restoring._FEW", 3)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("gone", ["own", "of the base"])
def test_each_segment_of_a_large_backup_looks_for_its_own(host: Host, gone: str) -> None:
    """Also of the backups that it builds upon; no hook lists all."""
    one = recorded(CHAIN[1] if gone == "of the base" else CHAIN[3])
    store = Store(*CHAIN)
    name = next(name for name in one.data if name.startswith("gpbackup_1_"))
    del store.objects[one.prefix + name]
    host.set_up(store, CHAIN[3])
    assert one.prefix not in store.listed
    store.listed.clear()
    host.set_up(store, CHAIN[3], "segment", "0")
    assert len(store.listed) == 3
    assert all("/gpbackup_0_" in prefix for prefix in store.listed)
    with pytest.raises(NotFound, match=f"1 of [0-9]+ objects is missing: .*{name}; {BY_GPBACKUP}"):
        host.set_up(store, CHAIN[3], "segment", "1")
    # Restored onto more segments, one of them has nothing of its own.
    host.set_up(store, CHAIN[3], "segment", "2")
    assert "the objects of the others are not checked in advance" in host.log()


class Cluster(FakeStore):
    """A target with a backup of so many hosts of two segments each, with a manifest of each host. Counts requests."""

    def __init__(self, hosts: int) -> None:
        super().__init__()
        self.requests: Counter[str] = Counter()
        one = recorded("default")
        self.objects = {key: data for key, data in one.objects.items() if f"/gpbackup_{one.timestamp}_" in key}
        record = f"{one.prefix}gpbackup_{one.timestamp}_config.yaml"
        self.objects[record] = self.objects[record].replace(b"segmentcount: 2", b"segmentcount: %d" % (2 * hosts))
        _, required = read_required(self, one.timestamp)
        entries = [Entry(key.removeprefix(one.prefix), len(data), 0) for key, data in self.objects.items()]
        put_manifest(self, one.prefix, entries)
        for host in range(hosts):
            names = [required.name(place) for place in range(2 * host * required.each, 2 * (host + 1) * required.each)]
            self.objects.update((one.prefix + name, b"data") for name in names)
            put_manifest(self, one.prefix, [Entry(name, 4, 0) for name in names])
            mark = marks.new_mark_id()
            self.objects[one.prefix + marks.host_mark_name(mark)] = marks.host_mark_content(mark, "")
        self.requests.clear()

    def stat(self, key: str) -> ObjectInfo:
        self.requests["stat"] += 1
        return super().stat(key)

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        found = list(super().find(prefix, unfinished=unfinished))
        self.requests["list"] += max(1, -(-len(found) // 1000))
        return iter(found)

    def step(self, method: str, key: str, number: int = 0) -> None:
        self.requests[method] += 1
        super().step(method, key, number)

    def spent(self) -> dict[str, int]:
        """The requests since the last call."""
        found = {name: self.requests[name] for name in ("list", "fetch", "read")}
        self.requests.clear()
        return found


def test_a_hosts_restore_costs_the_same_however_many_hosts_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listing the manifests aside, which takes a page for each thousand hosts."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("fsspec_gp_plugin.protocol.restoring._FEW", 100)
    spent = []
    for hosts in (20, 200):
        store = Cluster(hosts)
        host = Host(tmp_path / f"{hosts}")
        (tmp_path / f"{hosts}").mkdir()
        host.set_up(store, "default", "segment_host")
        of_host = store.spent()
        host.set_up(store, "default", "segment", "6")
        host.set_up(store, "default", "segment", "7")
        spent.append((of_host, store.spent()))
        assert "WARNING" not in host.log()
    assert spent[0] == spent[1]
    of_host, of_segments = spent[0]
    # The plugin's folder and the coordinator's files; of two segments, their objects and their members of one manifest.
    assert of_host["list"] == 2
    assert of_segments == {"list": 2, "fetch": 2, "read": 0}


def test_a_catalog_of_an_earlier_restore_hides_no_manifest(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a restore that was killed, whose credentials could not list the manifests."""
    store, one = Cluster(20), recorded("default")
    with monkeypatch.context() as patched:
        patched.setattr(store, "list_pages", denied)
        host.set_up(store, "default")
    host.set_up(store, "default")
    host.set_up(store, "default", "segment", "6")
    name = next(key for key in store.objects if "/gpbackup_6_" in key).removeprefix(one.prefix)
    found = entry_of(host.context(store), one.timestamp, name)
    assert found is not None
    assert found.size == 4


def denied(*_: object, **__: object) -> Iterator[Page]:
    raise AccessDenied("denied")


def test_of_a_small_backup_of_many_hosts_all_objects_are_looked_for(host: Host) -> None:
    """It may be restored onto fewer segments, whose hooks don't look for the objects of the others."""
    store = Cluster(20)
    gone = next(key for key in store.objects if "/gpbackup_39_" in key)
    del store.objects[gone]
    with pytest.raises(NotFound, match=f"is missing: {gone}"):
        host.set_up(store, "default")


@pytest.mark.usefixtures("few")
def test_a_restore_of_a_later_backup_leaves_an_earlier_restore_its_checks(host: Host) -> None:
    """Both run on this host at the same time, and the later backup builds on the earlier one."""
    store, one = Store(*CHAIN), recorded(CHAIN[1])
    gone = next(name for name in one.data if name.startswith("gpbackup_1_"))
    host.set_up(store, CHAIN[1])
    host.set_up(store, CHAIN[3])
    del store.objects[one.prefix + gone]
    with pytest.raises(NotFound, match=gone):
        host.set_up(store, CHAIN[1], "segment", "1")
