"""Whether a copy is complete: its objects and bytes are compared with those of the backup, found in the same way."""

from __future__ import annotations

import pytest

from fsspec_gp_plugin.backups.survey import MOST_COUNTED, survey
from fsspec_gp_plugin.cli.backup_list import _state_of_copy
from fsspec_gp_plugin.keys import backup_prefix
from tests.paged_store import PagedStore, put_objects, put_whole

T = "20260102030405"


def pair(objects: int, *, with_manifests: bool = True) -> tuple[PagedStore, PagedStore]:
    store, replica = PagedStore(), PagedStore()
    put_whole(store, T)
    put_objects(store, T, objects)
    if not with_manifests:
        remove(store, ".manifest.gz")
        remove(store, ".mark")
    replica.objects = dict(store.objects)
    return store, replica


def remove(store: PagedStore, end: str) -> None:
    store.objects = {key: data for key, data in store.objects.items() if not key.endswith(end)}


def state(store: PagedStore, replica: PagedStore) -> str:
    [backup] = survey(store)
    copies = survey(replica)
    store.listed.clear()
    return _state_of_copy(store, backup, replica, copies[0] if copies else None)


def test_a_copy_with_the_same_manifests_is_complete_without_a_listing() -> None:
    store, replica = pair(12)
    assert (state(store, replica), store.listed) == ("complete", [])
    remove(replica, "_report")
    assert state(store, replica) == "incomplete"
    replica.objects.clear()
    assert state(store, replica) == "none"


@pytest.mark.parametrize("lacks", ["", "manifest", "object"])
def test_a_copy_that_lacks_a_manifest_is_compared_by_listings(lacks: str) -> None:
    """What the names of manifests say, and what a listing shows, need not agree: other objects may be there, too."""
    store, replica = pair(30)
    remove(replica, f"{2:012x}-000001.c-1.4o.100b.manifest.gz")
    if lacks == "object":
        remove(replica, f"gpbackup_0_{T}_000007.gz")
    assert state(store, replica) == ("incomplete" if lacks == "object" else "complete")


@pytest.mark.parametrize("lacks", [False, True])
def test_so_many_objects_that_not_all_were_counted_are_counted(lacks: bool) -> None:
    store, replica = pair(MOST_COUNTED + 1500, with_manifests=False)
    if lacks:
        del replica.objects[f"{backup_prefix(T)}gpbackup_0_{T}_{MOST_COUNTED + 1499:06}.gz"]
    assert state(store, replica) == ("incomplete" if lacks else "complete")
