"""Uploads over connections that break again and again, on a clock of the tests' own.

Bytes are scaled: what the model calls 1 GiB is 1 MiB here.
"""

from __future__ import annotations

import tempfile
import threading
from itertools import count

import pytest

from fsspec_gp_plugin.errors import Unreachable
from fsspec_gp_plugin.protocol.targets import OUTAGE_SECONDS
from fsspec_gp_plugin.storage import link, retry_policy
from fsspec_gp_plugin.storage.retry import RetryingStore, RetryingWriter
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from fsspec_gp_plugin.storage.s3.store import S3Store
from fsspec_gp_plugin.transfer.part_sizes import PartSchedule
from fsspec_gp_plugin.transfer.upload import Upload, UploadSettings
from tests.fakes import FakeStore
from tests.unit.clock import Clock, Waiting
from tests.unit.line import Line

KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000"
PART = 1 << 20
MIB = PART >> 10


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(retry_policy, "time", made)
    monkeypatch.setattr(link, "time", made)
    return made


class Patient(RetryingStore):
    """Tells the line of the stream what it thinks of it."""

    def __init__(self, store: FakeStore, line: Line | None) -> None:
        # Pauses take no time; there are real seconds between them else.
        super().__init__(store, RetryPolicy(OUTAGE_SECONDS, first_pause=0))
        self._line = line

    def begin(self, key: str) -> RetryingWriter:
        writer = super().begin(key)
        if self._line is not None:
            self._line.link = writer.link
        return writer


def sent(store: FakeStore, size: int, *, concurrency: int = 1, line: Line | None = None) -> None:
    """A stream of so many bytes, sent as the plugin does."""
    patient = Patient(store, line)
    settings = UploadSettings(part_size=PART, concurrency=concurrency, memory_limit=8 * PART)
    with tempfile.TemporaryFile() as stream:
        stream.truncate(size)
        Upload(patient, KEY, settings, lambda _: None).run(stream.fileno())
    assert len(store.objects[KEY]) == size


@pytest.mark.parametrize("seed", range(20))
def test_a_stream_ends_over_connections_that_break_every_ten_minutes(clock: Clock, seed: int) -> None:
    """Parts of 1 GiB, four in flight, 4 MiB a second in all, so that a part takes 4 to 17 minutes."""
    sizes: dict[int, int] = {}
    line = Line(clock, 4 * MIB, 600.0, seed)

    def send(number: int, size: int) -> None:
        line.send(size)
        sizes[number] = size

    store = FakeStore(send=send, max_parts=10_000, min_part_size=5 * MIB)
    passing = threading.Thread(target=line.run)
    passing.start()
    try:
        sent(store, 40 * PART, concurrency=4, line=line)
    finally:
        line.close()
        passing.join()
    assert line.breaks > 5
    assert all(5 * MIB <= sizes[number] <= PART for number in range(1, len(sizes)))


class Breaking:
    """Connections that break in the midst of some parts, so many times each."""

    def __init__(self, clock: Clock, times: dict[int, int], error: Unreachable | None = None) -> None:
        self.left = times
        self.tries = 0
        self.sizes: dict[int, int] = {}
        self._clock = clock
        self._error = error or Unreachable("the connection broke")

    def __call__(self, number: int, size: int) -> None:
        self.tries += 1
        self._clock.now += 200.0
        link.note_sent(size // 2)
        if self.left.get(number, 0) > 0:
            self.left[number] -= 1
            raise self._error
        link.note_sent(size - size // 2)
        self.sizes[number] = size


def test_a_part_that_breaks_after_minutes_of_sending_is_repeated_as_long_as_there_is_a_chance(clock: Clock) -> None:
    """The outage counts anew each time, but not for ever."""
    sent(FakeStore(send=Breaking(clock, {2: 19})), 4 * PART)
    breaking = Breaking(clock, {2: 1000})
    with pytest.raises(Unreachable, match="tried 21 times in 4200 s"):
        sent(FakeStore(send=breaking), 3 * PART)
    assert breaking.left[2] == 1000 - 21


def test_seconds_of_sending_are_no_seconds_without_the_store(clock: Clock) -> None:
    """An answer that asks to come again ends no outage; but only waiting for it counts."""
    busy = Unreachable("the store asks to slow down")
    busy.http_status = "503"
    sent(FakeStore(send=Breaking(clock, {2: 8}, busy)), 3 * PART)


def test_a_store_that_takes_what_fits_into_buffers_and_no_more_is_away(clock: Clock) -> None:
    tries: list[int] = []

    def stall(number: int, _: int) -> None:
        if number == 2:
            tries.append(number)
            link.note_sent(MIB)
            clock.now += 60.0
            raise Unreachable("the store did not answer in time")

    with pytest.raises(Unreachable, match="tried 7 times in 420 s"):
        sent(FakeStore(send=stall), 3 * PART)


def test_after_two_breaks_of_a_part_later_ones_shrink_to_what_connections_carry(clock: Clock) -> None:
    breaking = Breaking(clock, {6: 2})
    sent(FakeStore(send=breaking, min_part_size=5 * MIB), 20 * PART)
    sizes = [size for _, size in sorted(breaking.sizes.items())]
    assert sizes[:6] == [PART] * 6
    # They broke in the middle. The two parts after may have got their buffers by then.
    assert set(sizes[8:-1]) == {PART // 2}


def test_parts_grow_again_where_nothing_breaks_any_more(clock: Clock) -> None:
    breaking = Breaking(clock, {3: 2})
    sent(FakeStore(send=breaking), 100 * PART)
    sizes = [size for _, size in sorted(breaking.sizes.items())]
    assert sizes[10] == PART // 2
    assert sizes[-2] == PART


def test_one_break_changes_nothing(clock: Clock) -> None:
    breaking = Breaking(clock, dict.fromkeys(range(2, 10), 1))
    sent(FakeStore(send=breaking), 12 * PART)
    assert set(breaking.sizes.values()) == {PART}


def test_parts_that_break_go_one_at_a_time(clock: Clock) -> None:
    """All four in flight break until no other is under way with them."""
    at_once = threading.Barrier(4)
    alone: list[int] = []
    tries: dict[int, int] = {}
    lock = threading.Lock()

    def send(number: int, size: int) -> None:
        with lock:
            tries[number] = tries.get(number, 0) + 1
        if number <= 4 and tries[number] <= 2:
            at_once.wait(20)
            with lock:
                clock.now += 100.0
            at_once.wait(20)  # no other part moves the clock between the last byte and the break
            link.note_sent(size // 2)
            raise Unreachable("the connection broke")
        alone.append(store.flying)

    store = FakeStore(send=send)
    sent(store, 20 * PART, concurrency=4)
    assert alone
    assert set(alone) == {1}


def test_after_32_parts_without_a_break_several_go_at_once_again(clock: Clock) -> None:
    breaking = Breaking(clock, {3: 2})
    several = threading.Event()

    def send(number: int, size: int) -> None:
        breaking(number, size)
        if number > 45 and not several.is_set():
            if store.flying > 1:
                several.set()
            assert several.wait(20)

    store = FakeStore(send=send)
    sent(store, 100 * PART, concurrency=4)
    assert several.is_set()


@pytest.mark.parametrize(("first", "wanted"), [(8 << 20, 0), (8 << 20, 100 << 20), (1 << 30, 20 << 20), (64 << 20, 0)])
def test_parts_that_shrink_still_hold_5_tib(first: int, wanted: int) -> None:
    schedule = PartSchedule(first, 4, S3Store.capabilities)
    start, sizes = 0, []
    for number in count(1):
        if not schedule.size(number):
            break
        sizes.append(schedule.carried_size(number, start, wanted))
        start += sizes[-1]
    assert start >= 5 << 40
    assert len(sizes) == 10_000
    assert min(sizes) >= 5 << 20
    assert max(sizes) <= 1 << 30
    # As many as can be are as small as they shall be.
    assert sizes[:400] == [min(first, max(5 << 20, wanted))] * 400


def test_parts_of_one_size_stay_of_one_size() -> None:
    """As Cloudflare R2 wants them."""
    assert PartSchedule(64 << 20, 4, S3Store.capabilities, fixed=True).carried_size(10, 9 * 64 << 20, 1) == 64 << 20


@pytest.mark.parametrize(("carries", "size"), [(None, 8 << 20), (1_000_000, 768 << 10), (1, 256 << 10)])
def test_parts_that_shrink_are_such_as_sessions_of_google_take(carries: int | None, size: int) -> None:
    assert PartSchedule(8 << 20, 1, FakeStore().capabilities).carried_size(10, 9 * 8 << 20, carries) == size


def test_waiting_for_others_is_no_waiting_for_the_store(clock: Clock) -> None:
    """Where parts go one at a time, the others may take longer than any outage."""
    attempts = retry_policy.Attempts(RetryPolicy(OUTAGE_SECONDS), Waiting(clock))
    for _ in range(3):
        clock.now += 3 * OUTAGE_SECONDS
        attempts.begin()
        attempts.failed(Unreachable("no answer"))
    clock.now += OUTAGE_SECONDS
    with pytest.raises(Unreachable, match="tried 4 times"):
        attempts.failed(Unreachable("no answer"))
