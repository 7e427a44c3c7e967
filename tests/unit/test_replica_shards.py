"""Calls of `replicate_backup` that copy parts of one backup: together they copy all but its end, each object once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.backups import replica_checks, shares
from fsspec_gp_plugin.errors import StorageError
from fsspec_gp_plugin.integrity.contents import content_of
from fsspec_gp_plugin.integrity.object_names import is_manifest
from fsspec_gp_plugin.protocol import replication
from tests.fakes import FakeStore
from tests.made_backups import OIDS, put_hosts, table
from tests.unit.restore_host import Store
from tests.unit.site import PREFIX, Site, T

if TYPE_CHECKING:
    from pathlib import Path


HOSTS = ([0, 1], [2, 3])
END = {f"{PREFIX}gpbackup_{T}_{end}" for end in ("toc.yaml", "report")}
OTHER = f"{PREFIX}notes"


def made_site(folder: Path, *options: str) -> tuple[Site, Store]:
    """A backup of two hosts of two segments each, and nothing at the replica."""
    first = Store()
    site = Site(folder, first, FakeStore(), *options)
    first.objects.clear()
    site.second.objects.clear()
    put_hosts(first, T, HOSTS)
    first.objects[OTHER] = b"of no content id"
    return site, first


def replicate(site: Site, shard: str = "") -> None:
    with open(os.devnull, "wb") as nobody:
        replication.replicate_backup(site.context("replicate_backup", nobody.fileno()), T, shard)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat a small backup as a large one, and don't wait between looks at the replica's mark."""
    monkeypatch.setattr(replica_checks, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(shares, "_PAGE", 1)
    monkeypatch.setattr(shares, "_FEW_PAGES", 0)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("checksum", ["crc32c", "off"])
@pytest.mark.parametrize("parts", [1, 2, 5, 12])
def test_together_they_copy_each_object_once(tmp_path: Path, parts: int, checksum: str) -> None:
    site, first = made_site(tmp_path, f"checksum: '{checksum}'")
    copied: dict[str, bytes] = {}
    for part in range(parts):
        site.second.objects.clear()
        replicate(site, f"{part}/{parts}")
        assert not copied.keys() & site.second.objects.keys()
        copied |= site.second.objects
    assert copied == {key: data for key, data in first.objects.items() if key not in {*END, OTHER}}
    replicate(site)
    assert site.second.objects == first.objects


@pytest.mark.usefixtures("large")
def test_each_reads_and_lists_only_its_share(tmp_path: Path) -> None:
    site, first = made_site(tmp_path)
    replicate(site, "3/5")
    assert f"{PREFIX}gpbackup_2_{T}" in first.listed
    names = [prefix.removeprefix(PREFIX) for prefix in first.listed]
    assert {name for name in names if not name.startswith("fsspec_gp_plugin/")} == {f"gpbackup_2_{T}"}
    copied = {key.removeprefix(PREFIX) for key in site.second.objects}
    data = {name for name in copied if not name.startswith("fsspec_gp_plugin/")}
    assert data == {table(T, 2, oid) for oid in OIDS}
    # One manifest is read for its entries. This shard copies some, too, each by one request.
    requests = [key for method, key, _ in first.calls if method == "fetch" and is_manifest(key.removeprefix(PREFIX))]
    assert len(requests) == 1 + len([name for name in copied if is_manifest(name)])


@pytest.mark.usefixtures("large")
def test_an_object_that_differs_is_not_copied_and_the_others_are(tmp_path: Path) -> None:
    site, first = made_site(tmp_path)
    wrong = PREFIX + table(T, 2, OIDS[0])
    first.objects[wrong] = b"short"
    with pytest.raises(StorageError, match=f"{wrong} has 5 bytes"):
        replicate(site, "3/5")
    assert {content_of(key.removeprefix(PREFIX)) for key in site.second.objects} >= {2}
    assert wrong not in site.second.objects
    replicate(site, "1/5")
