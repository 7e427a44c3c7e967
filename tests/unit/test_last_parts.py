"""An upload is as old as its last part, by the clock of the store that tells it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.backups.leftovers import BACKUP, UPLOADS, find_leftovers, find_leftovers_of_run
from fsspec_gp_plugin.cli import cleanup
from fsspec_gp_plugin.errors import AccessDenied, NotFound, StorageError, Unreachable
from fsspec_gp_plugin.keys import backup_prefix, unfinished_key
from fsspec_gp_plugin.storage.contract import Upload
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsspec_gp_plugin.storage.contract import ObjectInfo

DAY = 86400.0
T = "20260102030405"
KEY = f"{backup_prefix(T)}gpbackup_0_{T}.gz"
BEGUN = time.mktime(time.strptime(T, "%Y%m%d%H%M%S"))
NOW = BEGUN + 10 * DAY


class _Dated(FakeStore):
    """A store whose clock is ahead of this host's, and whose objects were written when a backup was begun."""

    def __init__(self, ahead: float = 0.0) -> None:
        super().__init__(self._fail)
        self.error: StorageError | None = None
        self._ahead = ahead

    def _fail(self, method: str, _: str, __: int) -> None:
        if method == "last_written" and self.error:
            raise self.error

    def clock_offset(self) -> float:
        return self._ahead

    def add(self, key: str, begun: float, last: float | None) -> None:
        """An upload, by this host's clock."""
        upload = Upload(key, begun + self._ahead, key)
        self.unfinished[upload] = None if last is None else last + self._ahead

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        found = super().find(prefix, unfinished=unfinished)
        return (info._replace(modified=BEGUN + self._ahead) for info in found)

    @property
    def asked(self) -> int:
        return [method for method, _, _ in self.calls].count("last_written")


@pytest.mark.parametrize("of_backup", [False, True])
@pytest.mark.parametrize(
    ("ahead", "age", "stays"),
    [
        (0.0, DAY - 60, True),
        (0.0, DAY + 60, False),
        (-7200.0, DAY - 60, True),
        (7200.0, DAY + 60, False),
    ],
)
def test_the_last_part_counts_by_the_clock_of_the_store(of_backup: bool, ahead: float, age: float, stays: bool) -> None:
    store = _Dated(ahead)
    if of_backup:
        store.objects[f"{KEY}.other"] = b"rows"
    store.add(KEY, BEGUN, NOW - age)
    [left] = find_leftovers(store, NOW - DAY, print)
    assert (left.what, left.stays) == (BACKUP if of_backup else UPLOADS, "may still run" if stays else "")
    assert left.started == pytest.approx(NOW - age, abs=1)


def test_only_what_would_go_is_asked_for_and_no_more_than_needed() -> None:
    store = _Dated()
    store.add(KEY, NOW - 60, NOW)
    [left] = find_leftovers(store, NOW - DAY, print)
    assert (left.stays, store.asked) == ("may still run", 0)
    store.unfinished.clear()
    for number in range(1000):
        store.add(f"{KEY}{number}", BEGUN, NOW - 60)
    [left] = find_leftovers(store, NOW - DAY, print)
    assert (left.stays, left.count) == ("may still run", 1000)
    assert store.asked < 50


@pytest.mark.parametrize("error", [AccessDenied("denied: ListParts"), NotFound("it has ended"), StorageError("what?")])
def test_an_upload_of_which_nobody_can_ask_is_spared(error: StorageError) -> None:
    store = _Dated()
    store.add(KEY, BEGUN, BEGUN)
    store.error = error
    [left] = find_leftovers(store, NOW - DAY, print)
    assert left.stays == f"it is unknown when its last part arrived: {error}"
    # A person who names the run knows better.
    [left] = find_leftovers_of_run(store, T, print)
    assert (left.what, left.stays) == (UPLOADS, "")


def test_a_store_that_is_away_ends_it() -> None:
    store = _Dated()
    store.add(KEY, BEGUN, BEGUN)
    store.error = Unreachable("away")
    with pytest.raises(Unreachable):
        find_leftovers(store, NOW - DAY, print)


def test_an_upload_whose_store_tells_no_part_is_as_old_as_its_beginning() -> None:
    store = _Dated()
    store.add(KEY, BEGUN, None)
    [left] = find_leftovers(store, NOW - DAY, print)
    assert (left.stays, left.started) == ("", BEGUN)


class _Silent(FakeStore):
    """Tells no times, as Azure of uploads, and file servers of working files."""


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("what", ["upload", "working file"])
def test_an_upload_of_unknown_age_keeps_a_backup_that_may_run(what: str, ended: bool) -> None:
    """However long ago it was begun; gpbackup's report says that it has ended."""
    for others in (True, False):
        store = _Silent()
        if others:
            store.objects[f"{KEY}.other"] = b"rows"
        if ended:
            store.objects[f"{backup_prefix(T)}gpbackup_{T}_report"] = b"Backup Status: Failure\n"
        if what == "upload":
            store.unfinished[Upload(KEY)] = None
        else:
            store.objects[unfinished_key(KEY, "0123456789ab")] = b"rows"
        [left] = find_leftovers(store, NOW - DAY, print)
        why = f"the age of an upload there is unknown; when gpbackup has ended, `cleanup CONFIG --run {T} --yes`"
        assert left.stays == ("" if ended else f"{why} removes it")
        [left] = find_leftovers_of_run(store, T, print)
        assert left.stays == ""


@pytest.mark.parametrize(("status", "state"), [("Success", "incomplete"), ("Failure", "failed")])
def test_what_has_a_report_and_no_table_of_contents_is_a_leftover_that_has_ended(status: str, state: str) -> None:
    store = FakeStore()
    store.objects[f"{backup_prefix(T)}gpbackup_{T}_report"] = f"Backup Status: {status}\n".encode()
    [left] = find_leftovers(store, BEGUN - 60, print)
    assert (left.state, left.has_ended, left.stays) == (state, True, "too young")
    assert ("deleted in part" in cleanup._why(left)) == (state == "incomplete")
    [left] = find_leftovers(store, NOW, print)
    assert left.stays == ""
