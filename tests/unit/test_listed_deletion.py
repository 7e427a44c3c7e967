"""Deleting what is listed, many objects in batches, while the listing goes on."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.backups.backup_deletion import delete_all
from fsspec_gp_plugin.backups.deletion_progress import DeletionProgress
from fsspec_gp_plugin.backups.listed_deletion import delete_listed
from fsspec_gp_plugin.backups.survey import survey
from fsspec_gp_plugin.errors import AccessDenied, Interrupted, StorageError
from fsspec_gp_plugin.keys import backup_prefix
from fsspec_gp_plugin.storage.contract import ObjectInfo, Page
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = "20260101120000"
P = backup_prefix(T)


class Paged(FakeStore):
    """Lists in pages of so many keys. `shifts`: a page is what has its number now, so that the pages after a deletion
    skip keys. `kept`: what stays though its deletion is acknowledged. `steps` are pages and batches, and after so many
    of them a `failure` comes.
    """

    def __init__(self, count: int = 0, page: int = 1000, *, shifts: bool = False, kept: Iterable[str] = ()) -> None:
        super().__init__()
        self.objects = {f"{P}gpbackup_0_{T}_{n:06}": b"" for n in range(count)}
        self.page, self.shifts, self.kept = page, shifts, frozenset(kept)
        self.pages = self.batches = 0
        self.most_pages_ahead = 0
        self.left = -1
        self.failure: BaseException = Interrupted(signal.SIGINT)

    def _do_step(self) -> None:
        if self.left == 0:
            raise self.failure
        self.left -= 1

    def list_pages(self, prefix: str, *, shallow: bool = False, unfinished: bool = False) -> Iterator[Page]:
        if shallow:
            yield from super().list_pages(prefix, shallow=True, unfinished=unfinished)
            return
        at, after = 0, ""
        while True:
            self._do_step()
            self.pages += 1
            self.most_pages_ahead = max(self.most_pages_ahead, self.pages - self.batches)
            keys = sorted(key for key in list(self.objects) if key.startswith(prefix) and key > after)
            page = keys[at : at + self.page]
            yield Page([ObjectInfo(key, 0) for key in page])
            if self.shifts:
                at += self.page
            elif page:
                after = page[-1]
            if len(page) < self.page:
                return

    def delete(self, keys: Iterable[str]) -> None:
        self._do_step()
        self.batches += 1
        super().delete(key for key in keys if key not in self.kept)


def delete(store: FakeStore) -> int:
    progress = DeletionProgress()
    delete_listed(store, P, lambda _: False, progress)
    return progress.count


def test_each_page_is_listed_once_and_then_comes_one_look() -> None:
    store = Paged(10_500)
    assert delete(store) == 10_500
    assert (store.objects, store.pages, store.batches) == ({}, 11 + 1, 11)


def test_what_a_listing_skips_is_deleted_too() -> None:
    store = Paged(10_500, shifts=True)
    assert delete(store) == 10_500
    assert store.objects == {}


@pytest.mark.parametrize("kept", [(0,), (7_777,), (10_499,), range(0, 10_500, 3)])
def test_a_store_that_retains_is_found_out(kept: Iterable[int]) -> None:
    keys = [f"{P}gpbackup_0_{T}_{n:06}" for n in kept]
    store = Paged(10_500, kept=keys)
    with pytest.raises(StorageError, match=f"{keys[0]} is still there after it was deleted: the store retains it"):
        delete(store)
    assert sorted(store.objects) == keys
    assert store.pages <= 3 * 11


def test_four_batches_go_at_a_time_and_the_listing_does_not_run_ahead() -> None:
    together = threading.Barrier(4)  # with fewer at once it would break

    class Waiting(Paged):
        def delete(self, keys: Iterable[str]) -> None:
            together.wait(30)
            super().delete(keys)

    store = Waiting(8_000)
    assert delete(store) == 8_000
    # Those in flight, one that waits, and one that is listed.
    assert store.most_pages_ahead <= 6


def test_a_failure_ends_it_when_the_other_batches_have_ended() -> None:
    failed = threading.Event()
    ended: list[str] = []

    class Failing(Paged):
        def delete(self, keys: Iterable[str]) -> None:
            first = min(keys)
            if first.endswith("000000"):
                failed.set()
                raise AccessDenied("denied")
            assert failed.wait(30)
            ended.append(first)

    with pytest.raises(AccessDenied, match="denied"):
        delete(Failing(100_000))
    assert 3 <= len(ended) <= 8


def test_a_signal_does_not_wait_for_the_batches() -> None:
    go_on = threading.Event()
    ended: list[bool] = []

    def interrupt(signum: int, _frame: object) -> None:
        raise Interrupted(signum)

    class Hanging(Paged):
        def delete(self, keys: Iterable[str]) -> None:
            if min(keys).endswith("003000"):
                os.kill(os.getpid(), signal.SIGUSR1)
            ended.append(go_on.wait(20))

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interrupted):
            delete(Hanging(100_000))
        assert ended == []
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        go_on.set()
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("step", range(12))
@pytest.mark.parametrize("failure", [Interrupted(signal.SIGINT), AccessDenied("denied")])
def test_an_interruption_leaves_an_incomplete_backup_and_the_next_call_goes_on(
    step: int, failure: BaseException
) -> None:
    store = Paged(5, page=3)
    for name in (f"gpbackup_{T}_toc.yaml", f"gpbackup_{T}_report", "fsspec_gp_plugin/claim.json"):
        store.objects[P + name] = b"backup status: Success"
    count = len(store.objects)
    store.left, store.failure = step, failure
    deleted = DeletionProgress()
    try:
        delete_all(store, P, lambda _: None, deleted)
        assert step >= 9, "it has fewer steps"
    except (Interrupted, AccessDenied):
        pass
    store.left = -1
    assert [one.state for one in survey(store)] in ([], ["complete"] if step == 0 else ["incomplete"])
    left = {key.removeprefix(P) for key in store.objects}
    # Whoever comes later can tell that gpbackup has ended, as long as any data is left, and whose the backup is.
    assert not left or "fsspec_gp_plugin/claim.json" in left
    assert left <= {"fsspec_gp_plugin/claim.json"} or f"gpbackup_{T}_report" in left
    before = len(store.objects)
    assert count - before >= deleted.count
    assert delete_all(store, P, lambda _: None) == before
    assert store.objects == {}


class Clock:
    """Goes on by so many seconds with each look."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_the_log_tells_now_and_then_how_far_it_is() -> None:
    store = Paged(9_000)
    manifests = ["sdw1.0123456789ab-000000.c0.8000o.1b", "mdw.0123456789ab-000000.c-1.990o.1b"]
    for name in manifests:
        store.objects[f"{P}fsspec_gp_plugin/{name}.manifest.gz"] = b""
    store.objects[f"{P}gpbackup_{T}_toc.yaml"] = b""
    lines: list[str] = []
    shown: list[str] = []
    progress = DeletionProgress(T, lines.append, lambda now: shown.append(str(now)), Clock(3.0))
    assert delete_all(store, P, lambda _: None, progress) == 9_003
    assert shown[1] == "1,001 of about 8,992 objects deleted"
    assert shown[-1] == "9,003 objects deleted"
    assert lines[0].startswith(f"{T}: ")
    assert lines[0].endswith(" of about 8,992 objects deleted")
    assert 2 <= len(lines) < len(shown)


@pytest.mark.parametrize("names", [[], ["sdw1.0123456789ab-000000", "mdw.0123456789ab-000000.c-1.990o.1b"]])
def test_where_a_manifest_does_not_show_its_number_nor_does_the_progress(names: list[str]) -> None:
    store = FakeStore()
    store.objects = {f"{P}fsspec_gp_plugin/{name}.manifest.gz": b"" for name in names}
    store.objects[f"{P}gpbackup_{T}_toc.yaml"] = b""
    progress = DeletionProgress()
    delete_all(store, P, lambda _: None, progress)
    assert progress.expected == 0


def test_nothing_is_listed_for_a_progress_that_nobody_wants() -> None:
    store = Paged()
    delete_all(store, P, lambda _: None)
    assert store.pages == 1
