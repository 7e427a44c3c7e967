"""Where a restore reads a backup that is at a target and at its replica, and how long it waits for the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import AccessDenied, NotFound, StorageError, Unreachable
from fsspec_gp_plugin.protocol import data, hooks
from fsspec_gp_plugin.protocol.restore_source import choose_source, store_of_backup
from fsspec_gp_plugin.storage.mirror import MirroredStore
from fsspec_gp_plugin.storage.retry import RetryingStore
from tests.fakes import FakeStore
from tests.unit.site import FIRST, PREFIX, SECOND, Site, T

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import ObjectInfo, Store

TABLE = f"/data/gpseg0/{PREFIX}gpbackup_0_{T}_16384"
DATA = b"data" * 1000


def set_up(site: Site) -> None:
    hooks.setup_plugin_for_restore(site.context("setup_plugin_for_restore"), f"/data/gpseg-1/{PREFIX}", "master", "-1")


def restored(site: Site) -> bytes:
    """A table."""
    with (site.folder / "table").open("wb") as sink:
        data.restore_data(site.context("restore_data", sink.fileno()), TABLE)
    return (site.folder / "table").read_bytes()


def mirrored(site: Site, command: str) -> MirroredStore:
    """What a command reads."""
    found = store_of_backup(site.context(command), T)
    assert isinstance(found, MirroredStore)
    return found


def patient(store: object) -> tuple[object, float]:
    """What a patient store asks, and how many seconds it goes on."""
    assert isinstance(store, RetryingStore)
    return store.inner, store.policy.outage


class Gone(FakeStore):
    """Can't be asked for anything."""

    def __init__(self, error: type[StorageError]) -> None:
        super().__init__()
        self._error = error

    def stat(self, key: str) -> ObjectInfo:
        raise self._error(f"{key}: no")

    def fetch(self, key: str, into: memoryview) -> tuple[ObjectInfo, Iterator[int]]:
        del into
        raise self._error(f"{key}: no")

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        del unfinished
        raise self._error(f"{prefix}: no")


@pytest.mark.parametrize("error", [Unreachable, NotFound, AccessDenied, StorageError])
def test_a_restore_reads_the_copy_when_the_first_target_does_not_give_the_backup(
    tmp_path: Path, error: type[StorageError]
) -> None:
    site = Site(tmp_path, Gone(error), FakeStore(), "max_retries: 0")
    set_up(site)
    assert restored(site) == DATA


def test_a_restore_reads_the_first_target_where_that_has_all(site: Site) -> None:
    set_up(site)
    assert restored(site) == DATA
    # It has no config file of gpbackup, which is looked for at both.
    assert {key.rpartition("_")[2] for _, key, _ in site.second.calls} <= {"config.yaml"}


def test_a_table_that_the_first_target_lost_after_setup_is_read_from_the_copy(site: Site) -> None:
    set_up(site)
    site.first.objects.clear()
    assert restored(site) == DATA


def test_a_first_target_that_goes_away_is_asked_first_again_by_the_next_restore_only(
    tmp_path: Path,
) -> None:
    """Not every table waits for it."""
    is_away = False

    def before(method: str, key: str, _: int) -> None:
        if is_away:
            raise Unreachable(f"{method} {key}: the store is away")

    site = Site(tmp_path, FakeStore(before), FakeStore(), "max_retries: 0")
    set_up(site)
    assert patient(mirrored(site, "restore_data").preferred)[0] is site.first
    is_away = True
    assert restored(site) == DATA
    assert patient(mirrored(site, "restore_data").preferred)[0] is site.second
    asked = len(site.first.calls)
    assert restored(site) == DATA
    assert len(site.first.calls) == asked
    context = site.context("cleanup_plugin_for_restore")
    hooks.cleanup_plugin_for_restore(context, f"/data/gpseg-1/{PREFIX}", "master", "-1")
    assert patient(mirrored(site, "restore_data").preferred)[0] is site.first


def test_in_the_midst_of_a_restore_the_first_target_is_waited_for_20_seconds_and_a_request_for_15(site: Site) -> None:
    found = mirrored(site, "restore_data")
    assert patient(found.preferred) == (site.first, 20)
    assert (FIRST, 15.0) in site.resources.timeouts
    # What only the first has is waited for as if there were no replica, and so is the replica itself.
    assert patient(found._preferred_with_retries) == (site.first, 330)
    assert (FIRST, 60.0) in site.resources.timeouts
    assert patient(found.fallback) == (site.second, 330)
    assert site.resources.timeouts[-1] == (SECOND, 60.0)


def test_setup_waits_for_the_first_target_8_seconds_and_for_a_request_5_and_then_for_the_copy(site: Site) -> None:
    asked: list[Store] = []

    def require(store: Store) -> None:
        asked.append(store)
        if len(asked) == 1:
            raise Unreachable("no answer")

    choose_source(site.context("setup_plugin_for_restore"), T, require)
    assert [patient(store) for store in asked] == [(site.first, 8), (site.second, 120)]
    assert site.resources.timeouts == [(FIRST, 5.0), (SECOND, 60.0)]
