"""Manifests that a restore without a setup hook fetches: once a host, whoever asks, and again when they are old."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.checksum import crc32c
from fsspec_gp_plugin.errors import AccessDenied, Interrupted, PluginError, StorageError, Unreachable
from fsspec_gp_plugin.integrity.catalog import Catalog
from fsspec_gp_plugin.integrity.catalog_files import FETCHED, purpose_of
from fsspec_gp_plugin.integrity.claim import NAME as CLAIM
from fsspec_gp_plugin.integrity.claim import new_claim
from fsspec_gp_plugin.integrity.cluster import Cluster
from fsspec_gp_plugin.integrity.entries import Entry
from fsspec_gp_plugin.protocol import data
from fsspec_gp_plugin.protocol.comparing import read_expected
from tests.fakes import Alarm, FakeStore
from tests.made_manifests import put_manifest, put_version_1
from tests.unit.site import PREFIX, Site, T

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fsspec_gp_plugin.protocol.context import Context
    from fsspec_gp_plugin.storage.contract import ObjectInfo

NAME = f"gpbackup_0_{T}_16384"
DATA = b"data" * 1000
ENTRY = Entry(NAME, len(DATA), crc32c(DATA))


class CountingStore(FakeStore):
    """Counts listings, and does something before each."""

    def __init__(self) -> None:
        super().__init__()
        self.listings = 0
        self.before_listing: Callable[[], None] = lambda: None

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        self.listings += 1
        self.before_listing()
        yield from super().find(prefix, unfinished=unfinished)

    @property
    def reads(self) -> int:
        """How often a manifest was read."""
        return sum(method == "fetch" and key.endswith(".manifest.gz") for method, key, _ in self.calls)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: CountingStore) -> Site:
    """A host, and a target with a backup and its manifest."""
    monkeypatch.setenv("HOME", str(tmp_path))
    site = Site(tmp_path, store, FakeStore())
    claim = new_claim(T, Cluster("sales"))
    put_manifest(store, PREFIX, [ENTRY], claim.token)
    store.objects[PREFIX + CLAIM] = claim.encode()
    return site


def context(site: Site) -> Context:
    return site.context("restore_data")


def size_of(site: Site) -> int | None:
    """What the manifests say of the table; None where nothing does."""
    found = read_expected(context(site), PREFIX + NAME)
    return None if found is None else found.size


def age(site: Site, seconds: float) -> None:
    [path] = (site.folder / ".fsspec_gp_plugin/manifests").glob("*.fetched.db")
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_twenty_at_once_fetch_once(one: Site, store: CountingStore) -> None:
    store.before_listing = lambda: time.sleep(0.3)
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda _: size_of(one), range(20))) == {len(DATA)}
    assert (store.listings, store.reads) == (1, 1)


def test_what_was_fetched_is_looked_at_again_after_an_hour(one: Site, store: CountingStore) -> None:
    assert [size_of(one), size_of(one)] == [len(DATA)] * 2
    age(one, 3500)
    size_of(one)
    assert store.listings == 1
    age(one, 3700)
    assert [size_of(one), size_of(one)] == [len(DATA)] * 2
    # They are the same, so they are not read again.
    assert (store.listings, store.reads) == (2, 1)
    age(one, 3700)
    put_manifest(store, PREFIX, [Entry(f"{NAME}0", 1, 1)])
    assert size_of(one) == len(DATA)
    assert (store.listings, store.reads) == (3, 3)


def test_that_there_is_no_manifest_is_remembered(one: Site, store: CountingStore) -> None:
    for key in [key for key in store.objects if "manifest" in key]:
        del store.objects[key]
    assert [size_of(one), size_of(one)] == [None, None]
    assert store.listings == 1


@pytest.mark.parametrize("what", ["listing", "reading"])
def test_that_they_are_not_for_these_credentials_is_remembered(one: Site, store: CountingStore, what: str) -> None:
    def refuse(*_: object) -> None:
        raise AccessDenied("not for you")

    if what == "listing":
        store.before_listing = refuse
    else:
        store._before = lambda method, *_: refuse() if method == "fetch" else None
    assert [size_of(one), size_of(one)] == [None, None]
    assert store.listings == 1
    log = "".join(path.read_text() for path in (one.folder / "log").iterdir())
    word = "listed" if what == "listing" else "read"
    assert log.count(f"restored unverified, as its manifests can't be {word}: not for you") == 1


@pytest.mark.parametrize("error", [Unreachable, StorageError])
def test_what_else_fails_is_an_error_and_not_remembered(
    one: Site, store: CountingStore, error: type[StorageError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error("not now")

    monkeypatch.setattr("fsspec_gp_plugin.protocol.targets.OUTAGE_SECONDS", 0.2)
    store.before_listing = fail
    with pytest.raises(error, match="not now"):
        size_of(one)
    store.before_listing = lambda: None
    assert size_of(one) == len(DATA)


def test_nobody_waits_longer_than_a_command_does(one: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec_gp_plugin.protocol.targets.OUTAGE_SECONDS", 0.3)
    with Catalog(context(one).config.place, T, FETCHED, make=True) as catalog:
        lock = catalog.lock()
        assert lock is not None
        with lock, pytest.raises(Unreachable, match="which another process of this host fetches, have not arrived"):
            size_of(one)
    assert size_of(one) == len(DATA)


def test_a_signal_ends_the_wait_in_the_agent(one: Site, alarm: Alarm) -> None:
    one.resources.alarm = alarm
    with Catalog(context(one).config.place, T, FETCHED, make=True) as catalog:
        lock = catalog.lock()
        assert lock is not None
        threading.Timer(0.3, alarm.ring).start()
        with lock, pytest.raises(Interrupted):
            size_of(one)


def test_the_replica_gives_them_too(one: Site, store: CountingStore) -> None:
    one.second.objects = dict(store.objects)
    store.objects.clear()
    with (one.folder / "table").open("wb") as sink:
        one.second.objects[PREFIX + NAME] = DATA[:-1] + b"x"
        with pytest.raises(PluginError, match="checksum"):
            data.restore_data(one.context("restore_data", sink.fileno()), f"/data/gpseg0/{PREFIX}{NAME}")


def test_what_was_found_when_there_was_no_manifest_gives_way_to_what_is_fetched_later(
    one: Site, store: CountingStore
) -> None:
    manifests = {key: store.objects.pop(key) for key in list(store.objects) if "manifest" in key}
    assert size_of(one) is None
    age(one, 3700)
    store.objects.update(manifests)
    assert size_of(one) == len(DATA)
    # And the other way, as after a manifest of version 1 came.
    put_version_1(store, PREFIX, [Entry(NAME, 5, 5)])
    store.objects.pop(next(iter(manifests)))
    age(one, 3700)
    assert size_of(one) == 5


def test_of_the_manifests_only_the_content_id_that_is_asked_for_is_fetched(one: Site) -> None:
    put_manifest(one.first, PREFIX, [Entry(f"gpbackup_1_{T}_16384", 1, 1), Entry(f"{NAME}0", 1, 1)])
    assert size_of(one) == len(DATA)
    place = context(one).config.place
    with Catalog(place, T, f"{purpose_of(0)}{FETCHED}") as catalog:
        assert [entry.name for entry in catalog.entries()] == [NAME, f"{NAME}0"]
