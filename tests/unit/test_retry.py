"""The retry policy, over a Store with scripted faults."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, NoReturn

import pytest

from fsspec_gp_plugin.errors import AccessDenied, AlreadyExists, NotFound, StorageError, Unreachable
from fsspec_gp_plugin.storage.contract import Page, Store, Upload
from fsspec_gp_plugin.storage.mirror import MirroredStore
from fsspec_gp_plugin.storage.pages import Pages
from fsspec_gp_plugin.storage.retry import RetryingStore
from fsspec_gp_plugin.storage.retry_policy import Attempts, RetryPolicy
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000"


class Faults:
    """Fails the first `times` steps of a method."""

    def __init__(self, method: str, times: int, error: type[StorageError] = Unreachable) -> None:
        self.method, self.left, self.error = method, times, error

    def __call__(self, method: str, _key: str, _number: int) -> None:
        if method == self.method and self.left:
            self.left -= 1
            raise self.error("no answer")


class Away(FakeStore):
    """Can't be asked for anything."""

    def _fail(self, *_: object, **__: object) -> NoReturn:
        raise Unreachable("no answer")

    find = find_uploads = delete = keeps_versions = _fail
    delete_unfinished = delete_empty_directories = stat = _fail


def patient(
    store: FakeStore, outage: float = 5.0, retries: int | None = None, note: Callable[[str], None] = lambda _: None
) -> RetryingStore:
    return RetryingStore(store, RetryPolicy(outage, retries, first_pause=0.01, longest_pause=0.05, note=note))


@pytest.mark.parametrize("method", ["put", "create", "write", "complete", "fetch", "abort", "last_written"])
def test_what_cannot_reach_the_store_is_repeated(method: str) -> None:
    faults = Faults(method, 3)
    inner = FakeStore(faults)
    store = patient(inner)
    data = os.urandom(1000)
    store.put(KEY, memoryview(data))
    store.create(KEY + "3", memoryview(data))
    inner.unfinished[Upload(KEY)] = 7.0
    assert store.last_written(Upload(KEY)) == 7.0
    writer = store.begin(KEY)
    writer.write(1, memoryview(data))
    writer.complete(1000)
    store.begin(KEY + "2").abort()
    buffer = bytearray(1000)
    info, pieces = store.fetch(KEY, memoryview(buffer))
    assert (info.size, sum(pieces), bytes(buffer)) == (1000, 1000, data)
    assert faults.left == 0


def test_an_object_that_was_created_without_an_answer_is_there_already() -> None:
    """The caller compares it with what it sent."""
    store = patient(FakeStore(Faults("created", 1)))
    with pytest.raises(AlreadyExists):
        store.create(KEY, memoryview(b"x"))
    assert store.stat(KEY).size == 1


@pytest.mark.parametrize("error", [AccessDenied, NotFound, StorageError])
def test_an_answer_is_not_repeated(error: type[StorageError]) -> None:
    faults = Faults("put", 3, error)
    with pytest.raises(error):
        patient(FakeStore(faults)).put(KEY, memoryview(b"x"))
    assert faults.left == 2


def test_it_is_given_up_when_the_outage_lasts_too_long() -> None:
    started = time.monotonic()
    with pytest.raises(Unreachable, match=r"no answer; tried \d+ times in \d+ s"):
        patient(FakeStore(Faults("put", 10_000)), outage=0.4).put(KEY, memoryview(b"x"))
    assert 0.4 <= time.monotonic() - started < 10


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_so_many_retries_and_no_more(retries: int) -> None:
    faults = Faults("put", 10_000)
    with pytest.raises(Unreachable):
        patient(FakeStore(faults), retries=retries).put(KEY, memoryview(b"x"))
    assert 10_000 - faults.left == retries + 1


class Pauses(threading.Event):
    """Nobody gives up, and no pause takes any time."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0)
        return False


def test_pauses_are_doubled_up_to_the_longest_and_differ() -> None:
    faults, pauses = Faults("put", 400), Pauses()
    store = FakeStore(faults)
    Attempts(RetryPolicy(600, first_pause=2, longest_pause=20), pauses).run(lambda: store.put(KEY, memoryview(b"x")))
    assert len(pauses.seconds) == 400
    for pause, around in zip(pauses.seconds, [2, 4, 8, 16, *[20] * 396], strict=True):
        assert around / 2 <= pause <= around * 1.5
    longest = pauses.seconds[4:]
    # All of the range is used.
    assert min(longest) < 15
    assert max(longest) > 25


def test_a_read_goes_on_at_its_own_last_byte() -> None:
    broken: list[int] = []

    def before(method: str, _key: str, start: int) -> None:
        if method == "piece" and start // 1000 in (3, 7) and start not in broken:
            broken.append(start)
            raise Unreachable("the connection ended early")

    inner = FakeStore(before, piece=1000)
    inner.objects[KEY] = os.urandom(10_500)
    buffer = bytearray(10_500)
    assert sum(patient(inner).read(inner.stat(KEY), 0, memoryview(buffer))) == 10_500
    assert bytes(buffer) == inner.objects[KEY]
    assert [call[2] for call in inner.calls if call[0] == "read"] == [0, 3000, 7000]


def test_progress_in_between_makes_a_new_outage() -> None:
    """A read that breaks at every piece goes on for ever, as long as each attempt brings something."""
    seen: set[int] = set()

    def before(method: str, _key: str, start: int) -> None:
        if method == "piece" and start not in seen:
            seen.add(start)
            raise Unreachable("the connection ended early")

    inner = FakeStore(before, piece=1000)
    inner.objects[KEY] = os.urandom(20_000)
    assert sum(patient(inner, retries=1).read(inner.stat(KEY), 0, memoryview(bytearray(20_000)))) == 20_000


class Paged(FakeStore):
    """Lists a page for each object; requests fail with the numbers, from 1, in `failing`."""

    def __init__(self, count: int, failing: set[int]) -> None:
        super().__init__()
        self.objects = {f"k{number}": b"x" for number in range(count)}
        self.requested: list[int] = []
        self._failing = failing

    def list_pages(self, prefix: str, *, shallow: bool = False, unfinished: bool = False) -> Iterator[Page]:
        del shallow, unfinished
        found = list(self.find(prefix))

        def request(place: int) -> tuple[Page, int | None]:
            self.requested.append(place)
            if len(self.requested) in self._failing:
                raise Unreachable("HTTP status 503")
            return Page([found[place]]), place + 1 if place + 1 < len(found) else None

        return Pages(request, 0)


def test_a_page_of_a_listing_is_retried_and_not_the_listing() -> None:
    inner = Paged(10, failing={1, 4, 5, 13})
    assert [info.key for info in patient(inner).find("")] == list(inner.objects)
    assert inner.requested == [0, 0, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8, 9, 9]


def test_a_listing_that_breaks_at_the_same_place_ends() -> None:
    inner = Paged(10, failing=set(range(6, 1000)))
    with pytest.raises(Unreachable):
        list(patient(inner, retries=3).find(""))
    assert inner.requested == [0, 1, 2, 3, 4, 5, 5, 5, 5]


def test_aborting_ends_the_waiting_of_the_others() -> None:
    waiting = threading.Event()
    inner = FakeStore(Faults("write", 10_000))
    writer = RetryingStore(inner, RetryPolicy(600, first_pause=60, note=lambda _: waiting.set())).begin(KEY)
    ended = threading.Event()

    def write() -> None:
        with pytest.raises(Unreachable):
            writer.write(1, memoryview(b"x"))
        ended.set()

    threading.Thread(target=write).start()
    assert waiting.wait(20)
    writer.abort()
    assert ended.wait(20)
    assert inner.aborted == [KEY]


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: list(store.find("")),
        lambda store: store.find_uploads(""),
        lambda store: store.delete([KEY]),
        lambda store: store.keeps_versions(""),
        lambda store: store.delete_unfinished(""),
        lambda store: store.delete_empty_directories(""),
        lambda store: store.stat(KEY),
    ],
    ids=["find", "find_uploads", "delete", "keeps_versions", "delete_unfinished", "delete_empty_directories", "stat"],
)
def test_a_store_that_nobody_needs_any_more_is_not_waited_for(ask: Callable[[RetryingStore], object]) -> None:
    """In the agent a thread may be asking it still, whose caller is gone."""
    waiting, ended = threading.Event(), threading.Event()
    store = RetryingStore(Away(), RetryPolicy(600, first_pause=60, note=lambda _: waiting.set()))

    def asking() -> None:
        with pytest.raises(Unreachable):
            ask(store)
        ended.set()

    threading.Thread(target=asking, daemon=True).start()
    assert waiting.wait(20)
    store.stop_waiting()
    assert ended.wait(20)


def test_each_failure_is_noted_with_what_follows() -> None:
    notes: list[str] = []
    patient(FakeStore(Faults("put", 2)), note=notes.append).put(KEY, memoryview(b"x"))
    assert [note.split(";")[0] for note in notes] == ["no answer"] * 2
    assert "trying again in" in notes[0]


@pytest.mark.parametrize("decorator", [RetryingStore, MirroredStore])
def test_a_store_around_another_leaves_nothing_to_the_defaults(decorator: type[Store]) -> None:
    members = {name for name in vars(Store) if not name.startswith("_")}
    assert "copy_from" in members
    # find() is made of list_pages() alone.
    assert members - vars(decorator).keys() - {"find"} == set()
