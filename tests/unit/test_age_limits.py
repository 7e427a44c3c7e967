"""What began or was written to within the last 24 hours may still run, to the second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.backups.backup import Backup
from fsspec_gp_plugin.backups.leftovers import BACKUP, find_leftovers
from fsspec_gp_plugin.backups.running_backups import find_running_without_claim
from fsspec_gp_plugin.cli import cleanup
from fsspec_gp_plugin.keys import backup_prefix
from fsspec_gp_plugin.storage.contract import Upload
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsspec_gp_plugin.storage.contract import ObjectInfo

DAY = 86400
T = "20260102030405"
OTHER = "20260102030406"
BEGUN = time.mktime(time.strptime(T, "%Y%m%d%H%M%S"))
# Seconds since a backup was begun, and whether it may still run: what happens at that very moment may go either way.
sides = pytest.mark.parametrize(("age", "may_run"), [(DAY - 1, True), (DAY + 1, False)])


class _Dated(FakeStore):
    """A store whose objects were all written at one time."""

    written = BEGUN

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        return (info._replace(modified=self.written) for info in super().find(prefix, unfinished=unfinished))


@sides
@pytest.mark.parametrize("sign", ["begun", "written to"])
def test_prune_takes_an_incomplete_backup_for_one_that_runs_for_a_day(age: int, may_run: bool, sign: str) -> None:
    """Since it was begun, or since its latest object was written."""
    later = 0 if sign == "begun" else 10 * DAY
    backup = Backup(T, objects=1, written=BEGUN + later)
    assert find_running_without_claim(FakeStore(), [backup], [], BEGUN + later + age) == (T if may_run else "")


@sides
@pytest.mark.parametrize("sign", ["begun", "written to"])
def test_cleanup_leaves_an_incomplete_backup_alone_for_a_day(age: int, may_run: bool, sign: str) -> None:
    store = _Dated()
    store.written = BEGUN + (0 if sign == "begun" else 10 * DAY)
    store.objects[f"{backup_prefix(T)}gpbackup_0_{T}_16384"] = b"rows"
    [left] = find_leftovers(store, store.written + age - cleanup._DAY, lambda _: None)
    assert left.stays == ("may still run" if may_run else "")


@sides
@pytest.mark.parametrize("uploads_of", [T, OTHER])
def test_cleanup_leaves_a_backup_alone_whose_large_table_is_being_sent(
    age: int, may_run: bool, uploads_of: str
) -> None:
    """What it had completed before is older; an upload of another backup says nothing of this one."""
    store = _Dated()
    store.objects[f"{backup_prefix(T)}gpbackup_0_{T}_16384"] = b"rows"
    begun = BEGUN + 10 * DAY
    store.unfinished[Upload(f"{backup_prefix(uploads_of)}gpbackup_0_{uploads_of}_16385", begun)] = begun
    found = find_leftovers(store, begun + age - cleanup._DAY, lambda _: None)
    [left] = [one for one in found if one.what == BACKUP]
    assert left.stays == ("may still run" if may_run and uploads_of == T else "")


@pytest.mark.parametrize("status", ["Success", "Failure", "?"])
def test_a_backup_that_has_its_report_does_not_run(status: str) -> None:
    backup = Backup(T, objects=1, report_key="x", report={"backup status": status})
    assert find_running_without_claim(FakeStore(), [backup], [], BEGUN + 60) == ""
    backup.report_key = ""
    assert find_running_without_claim(FakeStore(), [backup], [], BEGUN + 60) == T
