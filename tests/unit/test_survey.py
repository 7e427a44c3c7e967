"""What a look at all backups costs in requests, and what it tells of objects that it doesn't list."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.backups.leftovers import find_leftovers
from fsspec_gp_plugin.backups.ownership import read_ownerships
from fsspec_gp_plugin.backups.restore_plans import mark_broken, read_plans
from fsspec_gp_plugin.backups.running_backups import BackupWatch, find_running_without_claim, lists_for_signs
from fsspec_gp_plugin.backups.survey import MOST_COUNTED, lists_all, survey
from tests.paged_store import FOLDER, PagedStore, manifest_name, put_objects, put_whole

if TYPE_CHECKING:
    from tests.fakes import FakeStore

HOSTS = 1000
T = "20260102030405"


@pytest.mark.parametrize("incremental", [False, True])
def test_a_month_of_backups_of_a_thousand_hosts_costs_six_requests_each(incremental: bool) -> None:
    store = PagedStore()
    now = time.time()
    stamps = [time.strftime("%Y%m%d%H%M%S", time.localtime(now - day * 86400 - 60)) for day in reversed(range(30))]
    for number, timestamp in enumerate(stamps):
        put_whole(store, timestamp, hosts=HOSTS, per_host=8, needs=tuple(stamps[:number]) if incremental else ())
        put_objects(store, timestamp, 1)
    backups = survey(store)
    mark_broken(store, backups)
    read_ownerships(store, backups)
    assert store.requests <= 200
    assert [one.timestamp for one in backups] == stamps
    assert {(one.objects, one.size, one.counted) for one in backups} == {(24004, 240100, True)}
    assert {(one.shown_state, len(one.marks), len(one.hosts_without_manifest)) for one in backups} == {
        ("complete", HOSTS + 1, 0)
    }
    assert [one.kind for one in backups[1:]] == ["incremental" if incremental else "full"] * 29
    plans = read_plans(store, backups)
    assert plans == ({one: frozenset(stamps[:n]) for n, one in enumerate(stamps) if n} if incremental else {})
    # What `cleanup` and `prune` do besides.
    store.listed.clear()
    store.calls.clear()
    assert find_leftovers(store, 0.0, print) == []
    assert store.requests <= 200
    store.listed.clear()
    store.calls.clear()
    watch = BackupWatch(store, now)
    watch.remember(backups, [])
    assert not watch.has_changed()
    assert store.requests <= 10


def test_on_a_disk_no_directory_of_a_whole_backup_is_read() -> None:
    store = PagedStore(lists_by_prefix=False)
    prefix = put_whole(store, T)
    put_objects(store, T, 5000)
    [backup] = survey(store)
    assert (backup.objects, backup.state, backup.has_contents) == (16, "complete", True)
    assert prefix not in store.listed
    assert not [one for one in store.listed if one.startswith(f"{prefix}gpbackup")]


def change(store: FakeStore, prefix: str, what: str) -> None:
    """Let the names of manifests tell less."""
    names = [key for key in store.objects if key.endswith("manifest.gz")]
    if what == "none":
        for key in names:
            del store.objects[key]
    elif what == "one missing":
        del store.objects[names[0]]
    elif what == "version 1":
        del store.objects[names[0]]
        store.objects[f"{prefix}{FOLDER}sdw2.{2:012x}-000001.manifest.gz"] = b""
    elif what == "overlapping":
        store.objects[prefix + manifest_name(0, "0-1", 7, 7, token=2)] = b""
    elif what == "no table of contents":
        del store.objects[f"{prefix}gpbackup_{T}_toc.yaml"]
    elif what == "no report":
        del store.objects[f"{prefix}gpbackup_{T}_report"]


@pytest.mark.parametrize(
    "what", ["none", "one missing", "version 1", "overlapping", "no table of contents", "no report"]
)
@pytest.mark.parametrize("by_prefix", [False, True])
def test_objects_are_listed_where_names_do_not_tell_how_many_there_are(what: str, by_prefix: bool) -> None:
    store = PagedStore(lists_by_prefix=by_prefix)
    prefix = put_whole(store, T)
    change(store, prefix, what)
    put_objects(store, T, 20)
    [backup] = survey(store)
    files = 3 if what.startswith("no ") else 4
    assert (backup.objects, backup.counted, backup.by_names) == (files + 20, True, False)


def test_no_more_than_some_pages_are_listed_to_count_objects() -> None:
    store = PagedStore()
    put_objects(store, T, MOST_COUNTED + 5000)
    [backup] = survey(store)
    assert (backup.objects, backup.counted) == (MOST_COUNTED, False)
    assert store.requests < 30
    [backup] = survey(store, T, lists=lists_all)
    assert (backup.objects, backup.counted) == (MOST_COUNTED + 5000, True)
    assert backup.segments["0"] == 4 * (MOST_COUNTED + 5000)


def test_a_manifest_that_is_there_twice_counts_once() -> None:
    store = PagedStore()
    prefix = put_whole(store, T)
    store.objects[prefix + manifest_name(0, "0-1", 6, 60, token=2)] = b""
    # What the host has stored after its first hook.
    store.objects[prefix + manifest_name(1, "7", 2, 5, token=2)] = b""
    [backup] = survey(store)
    assert (backup.objects, backup.size, backup.by_names, len(backup.manifests)) == (18, 225, True, 5)


@pytest.mark.parametrize("per_host", [0, 2])
@pytest.mark.parametrize("old_place", [False, True])
def test_a_host_that_left_a_mark_and_no_manifest_is_told(old_place: bool, per_host: int) -> None:
    """Also of a backup of metadata alone, where no segment has stored anything."""
    store = PagedStore()
    put_whole(store, T, per_host=2)
    gone = f"{FOLDER}sdw1."
    for key in [key for key in store.objects if (".manifest" in key and (gone in key or not per_host))]:
        if gone in key or "c-1." not in key:
            del store.objects[key]
    if old_place:
        for key in [key for key in store.objects if "/marks/" in key]:
            store.objects[key.replace("/marks/", "/")] = store.objects.pop(key)
    [backup] = survey(store)
    assert backup.hosts_without_manifest == (["sdw1"] if per_host else ["sdw0", "sdw1"])
    assert len(backup.marks) == 3


def test_a_backup_of_one_object_is_found() -> None:
    """As of another plugin, or of one without a claim, that has just begun."""
    for by_prefix in (False, True):
        store = PagedStore(lists_by_prefix=by_prefix)
        put_objects(store, T, 1)
        store.objects["backups/20260103/20260103030405/"] = b""
        store.objects["backups/20260103/notes/x"] = store.objects["backups/x"] = store.objects["backups/2026/y"] = b""
        assert [(one.timestamp, one.objects, one.state) for one in survey(store)] == [(T, 1, "incomplete")]


@pytest.mark.parametrize(("age", "listed"), [(3600.0, False), (3 * 86400.0, True)])
def test_a_backup_that_runs_is_listed_until_a_sign_of_life(age: float, listed: bool) -> None:
    """Its millions of objects are not listed each time that `prune` runs."""
    store = PagedStore()
    now = time.time()
    timestamp = time.strftime("%Y%m%d%H%M%S", time.localtime(now - age))
    put_objects(store, timestamp, MOST_COUNTED + 2500)
    [backup] = survey(store, lists=lists_for_signs(now))
    assert backup.counted is listed
    assert find_running_without_claim(store, [backup], [], now) == ("" if listed else timestamp)
