"""The download engine against a Store with scripted faults."""

from __future__ import annotations

import os
import random
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.checksum import crc32c
from fsspec_gp_plugin.errors import LocalFileError, ReaderGone, StorageError, Unreachable
from fsspec_gp_plugin.transfer.download import Download, DownloadSettings
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsspec_gp_plugin.storage.contract import ObjectInfo

READ = 1 << 16
KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000"


class Drain:
    """A pipe whose reading end a thread empties."""

    def __init__(self) -> None:
        self._read, self.write = os.pipe()
        self.got = bytearray()
        self.some = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        with open(self._read, "rb", buffering=0) as file:
            while data := file.read(READ):
                self.got += data
                self.some.set()

    def close(self) -> bytes:
        if self.write >= 0:
            os.close(self.write)
            self.write = -1
        self._thread.join(10)
        return bytes(self.got)


@pytest.fixture
def drain() -> Iterator[Drain]:
    opened = Drain()
    yield opened
    opened.close()


def fetch(store: FakeStore, sink: int, spans: list[tuple[int, int]] | None = None, concurrency: int = 3) -> int:
    download = Download(store, sink, DownloadSettings(READ, concurrency))
    return (download.write_whole(KEY) if spans is None else download.write_ranges(KEY, spans)).size


@pytest.mark.parametrize("size", [0, 1, READ - 1, READ, READ + 1, 20 * READ + 3])
@pytest.mark.parametrize("parallel", [True, False])
def test_every_size_comes_back_whole(drain: Drain, size: int, parallel: bool) -> None:
    store = FakeStore(parallel=parallel, piece=10_000)
    store.objects[KEY] = os.urandom(size)
    assert fetch(store, drain.write) == size
    assert drain.close() == store.objects[KEY]


def test_ranges_that_arrive_out_of_order_are_written_in_order(drain: Drain) -> None:
    pause = random.Random(7)
    store = FakeStore(lambda *_: time.sleep(pause.random() / 100))
    store.objects[KEY] = os.urandom(20 * READ)
    fetch(store, drain.write, concurrency=5)
    assert drain.close() == store.objects[KEY]


def test_the_first_bytes_go_out_before_the_rest_has_arrived(drain: Drain) -> None:
    def before(method: str, _key: str, start: int) -> None:
        if method == "piece" and start >= 1000:
            assert drain.some.wait(10), "nothing was written until more had arrived"

    store = FakeStore(before, piece=1000)
    store.objects[KEY] = os.urandom(3 * READ)
    fetch(store, drain.write)
    assert drain.close() == store.objects[KEY]


def test_nothing_is_written_past_a_gap(drain: Drain) -> None:
    def before(method: str, _key: str, start: int) -> None:
        if method == "read" and start == 2 * READ:
            raise Unreachable("the store is not available")

    store = FakeStore(before)
    store.objects[KEY] = os.urandom(10 * READ)
    with pytest.raises(Unreachable):
        fetch(store, drain.write)
    got = drain.close()
    assert got == store.objects[KEY][: 2 * READ]


def test_a_range_that_comes_short_is_an_error_though_the_store_says_nothing(drain: Drain) -> None:
    class Short(FakeStore):
        def _pieces(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
            with suppress(StorageError):
                yield from super()._pieces(info, start, into)

    store = Short()
    store.objects[KEY] = os.urandom(10 * READ)
    info = store.stat(KEY)
    store.stat = lambda _: info  # type: ignore[method-assign, assignment]
    store.objects[KEY] = store.objects[KEY][: 5 * READ + 10]
    with pytest.raises(StorageError, match="expected"):
        Download(store, drain.write, DownloadSettings(READ, 3)).write_ranges(KEY, [(0, info.size)])
    assert drain.close() == store.objects[KEY]


def test_bytes_that_differ_from_the_stores_checksum_are_an_error(drain: Drain) -> None:
    store = FakeStore()
    store.objects[KEY] = os.urandom(10 * READ + 1)
    store.crcs[KEY] = crc32c(store.objects[KEY])
    assert fetch(store, drain.write) == 10 * READ + 1
    store.crcs[KEY] ^= 1
    with pytest.raises(StorageError, match="checksum"):
        fetch(store, drain.write)


def test_without_checksum_none_is_computed_or_asked_for(drain: Drain) -> None:
    store = FakeStore()
    store.objects[KEY] = os.urandom(3 * READ)
    store.crcs[KEY] = 1
    done = Download(store, drain.write, DownloadSettings(READ, checksum=False)).write_whole(KEY)
    assert done.crc32c is None
    assert ("crc32c", KEY, 0) not in store.calls


def test_a_small_object_costs_one_request(drain: Drain) -> None:
    store = FakeStore()
    store.objects[KEY] = os.urandom(READ)
    fetch(store, drain.write)
    assert [call[0] for call in store.calls if call[0] != "piece"] == ["fetch", "crc32c"]


def test_buffers_stay_within_the_memory_limit(drain: Drain) -> None:
    reading = set()
    most = 0

    def before(method: str, _key: str, start: int) -> None:
        nonlocal most
        if method == "read":
            reading.add(start)
            most = max(most, len(reading))
        elif method == "piece":
            time.sleep(0.001)
            reading.discard(start)

    store = FakeStore(before)
    store.objects[KEY] = os.urandom(50 * READ)
    download = Download(store, drain.write, DownloadSettings(READ, 8, memory_limit=3 * READ))
    assert download.write_whole(KEY).size == 50 * READ
    assert 1 <= most <= 3
    assert drain.close() == store.objects[KEY]


def test_bandwidth_is_limited(drain: Drain) -> None:
    store = FakeStore()
    store.objects[KEY] = os.urandom(400_000)
    started = time.monotonic()
    Download(store, drain.write, DownloadSettings(READ, max_bandwidth=1_000_000)).write_whole(KEY)
    assert 0.2 < time.monotonic() - started < 5
    assert drain.close() == store.objects[KEY]


def test_a_reader_that_has_gone_ends_it_while_writing() -> None:
    read, write = os.pipe()
    store = FakeStore()
    store.objects[KEY] = os.urandom(100 * READ)
    os.close(read)
    with pytest.raises(ReaderGone):
        fetch(store, write)
    os.close(write)


def test_a_reader_that_has_gone_ends_it_while_waiting_for_the_store() -> None:
    read, write = os.pipe()
    released = threading.Event()

    def before(method: str, _key: str, _start: int) -> None:
        if method == "fetch":
            os.close(read)
            assert released.wait(10)

    store = FakeStore(before, parallel=False)
    store.objects[KEY] = os.urandom(READ)
    with pytest.raises(ReaderGone):
        fetch(store, write)
    released.set()
    os.close(write)


def test_a_reader_that_has_gone_ends_it_while_a_subset_waits_for_its_object() -> None:
    read, write = os.pipe()
    released = threading.Event()
    store = FakeStore()
    store.objects[KEY] = os.urandom(READ)
    stat = store.stat

    def slow(key: str) -> ObjectInfo:
        os.close(read)
        assert released.wait(10)
        return stat(key)

    store.stat = slow  # type: ignore[method-assign]
    with pytest.raises(ReaderGone):
        Download(store, write, DownloadSettings(READ)).write_ranges(KEY, [(0, 5)])
    released.set()
    os.close(write)


def test_an_output_that_cannot_be_written_is_an_error() -> None:
    store = FakeStore()
    store.objects[KEY] = b"data"
    fd = os.open("/dev/null", os.O_RDONLY)
    with pytest.raises(LocalFileError, match="can't write the output"):
        fetch(store, fd)
    os.close(fd)


@pytest.mark.parametrize(
    "spans",
    [
        [],
        [(0, 0)],
        [(3, 10)],
        [(0, 700_000), (900_000, 900_001)],
        [(0, 1), (2, 3), (4, 5), (999_999, 1_000_000)],
        [(5, 5), (5, 9), (9, 200_000)],
    ],
)
def test_spans_are_written_back_to_back(drain: Drain, spans: list[tuple[int, int]]) -> None:
    store = FakeStore(piece=7_001)
    store.objects[KEY] = os.urandom(1_000_000)
    fetch(store, drain.write, spans)
    assert drain.close() == b"".join(store.objects[KEY][start:end] for start, end in spans)


def test_five_thousand_small_neighbours_cost_few_requests(drain: Drain) -> None:
    store = FakeStore()
    store.objects[KEY] = os.urandom(1_000_000)
    spans = [(start, start + 50) for start in range(0, 1_000_000, 200)]
    fetch(store, drain.write, spans)
    assert drain.close() == b"".join(store.objects[KEY][start:end] for start, end in spans)
    assert sum(call[0] == "read" for call in store.calls) <= 20
