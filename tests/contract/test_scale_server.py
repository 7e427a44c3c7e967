"""The make-believe S3 of benchmarks/scale answers as an S3 does, and its backups are such as the plugin reads."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from benchmarks.scale.rule import Backup, Shape
from benchmarks.scale.server import BUCKET, Server
from fsspec_gp_plugin.backups.manifest_reading import read_manifests
from fsspec_gp_plugin.backups.required import read_required
from fsspec_gp_plugin.backups.survey import survey
from fsspec_gp_plugin.errors import AlreadyExists, NotFound
from fsspec_gp_plugin.integrity.entries import Entry
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.reading import read_range
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from tests.servers.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsspec_gp_plugin.storage.contract import ObjectInfo, Store

# Of content ids with one and with two digits, and tables with five and with six.
SHAPE = Shape(hosts=2, tables=350, backups=3, chain=2)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(Server(SHAPE)) as running:
        yield running


@pytest.fixture(scope="module")
def store(server: Server) -> Iterator[Store]:
    opened = open_at(server)
    yield opened
    opened.close()


def open_at(server: Server) -> Store:
    options = {"endpoint_url": server.endpoint, "key": "k", "secret": "s"}
    return open_store(f"s3://{BUCKET}", options, policy=RetryPolicy(outage=20, first_pause=0.01))


def backup(number: int) -> Backup:
    return Backup(SHAPE, SHAPE.timestamps[number], number)


def listed(store: Store, prefix: str) -> list[ObjectInfo]:
    return list(store.find(prefix))


def test_a_listing_has_the_objects_of_the_rule_in_the_order_of_their_bytes(store: Store) -> None:
    one = backup(1)
    found = listed(store, one.prefix + "gpbackup_")
    expected = {one.prefix + name: len(one.read(name)) for name in one.files}
    for content in range(16):
        expected |= {one.prefix + entry.name: entry.size for entry in one.entries(content)}
    assert {info.key: info.size for info in found} == expected
    assert [info.key for info in found] == sorted(expected, key=str.encode)


def test_pages_of_a_thousand_keys_name_folders_once(server: Server, store: Store) -> None:
    server.reset(0)
    pages = list(store.list_pages(f"{backup(0).prefix}gpbackup_1"))
    assert [len(page.objects) for page in pages] == [1000, 1000, 450]
    assert server.counts()["requests"] == {"ListObjectsV2": 3}
    days = [f"backups/{timestamp[:8]}/" for timestamp in SHAPE.timestamps]
    assert [folder for page in store.list_pages("backups/", shallow=True) for folder in page.folders] == days


@pytest.mark.parametrize("number", [0, 1])
def test_the_plugin_reads_manifests_and_gpbackups_files(store: Store, number: int) -> None:
    one = backup(number)
    manifests = [info for info in listed(store, f"{one.prefix}fsspec_gp_plugin/") if "manifest" in info.key]
    lines = [line for _, found in read_manifests(store, one.timestamp, manifests) for line in found]
    read = [line for line in lines if isinstance(line, Entry)]
    expected = [entry for content in range(-1, 16) for entry in one.entries(content)]
    assert sorted(read) == sorted(expected)
    config, required = read_required(store, one.timestamp)
    assert config is not None
    assert list(config.plan or {}) == list(SHAPE.timestamps[: number + 1])
    assert set(required.names()) == {entry.name for entry in expected} - set(one.files)
    assert not required.not_checked


def test_what_is_written_and_deleted_shows(store: Store) -> None:
    one = backup(2)
    keys = [info.key for info in listed(store, f"{one.prefix}gpbackup_3_")]
    store.delete(keys[:-1])
    assert [info.key for info in listed(store, f"{one.prefix}gpbackup_3_")] == keys[-1:]
    store.create(f"{one.prefix}gpbackup_3_new", memoryview(b"content"))
    with pytest.raises(AlreadyExists):
        store.create(f"{one.prefix}gpbackup_3_new", memoryview(b"other"))
    assert [info.key for info in listed(store, f"{one.prefix}gpbackup_3_")] == [keys[-1], f"{one.prefix}gpbackup_3_new"]
    assert read_range(store, store.stat(f"{one.prefix}gpbackup_3_new"), 2, 5) == b"nte"
    with pytest.raises(NotFound):
        store.stat(keys[0])


def test_refusals_by_a_rule_end_no_listing() -> None:
    with serving(Server(SHAPE, 0.4)) as refusing, closing(open_at(refusing)) as store:
        assert len(listed(store, f"{backup(0).prefix}gpbackup_1")) == 7 * SHAPE.tables
        assert refusing.counts()["refused"] > 0
        assert [one.state for one in survey(store, SHAPE.timestamps[0])] == ["complete"]
