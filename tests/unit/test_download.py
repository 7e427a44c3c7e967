"""The download engine against a Store with scripted faults."""

from __future__ import annotations

import os
import random
import threading
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import LocalFileError, ReaderGone, StorageError, Unreachable
from fsspec_gp_plugin.transfer.download import DownloadSettings, download
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    return download(store, store.stat(KEY), sink, DownloadSettings(READ, concurrency), spans)


@pytest.mark.parametrize("size", [0, 1, READ - 1, READ, READ + 1, 20 * READ + 3])
@pytest.mark.parametrize("parallel", [True, False])
def test_every_size_comes_back_whole(drain: Drain, size: int, parallel: bool) -> None:
    store = FakeStore(parallel=parallel, piece=10_000)
    store.objects[KEY] = os.urandom(size)
    assert fetch(store, drain.write) == size
    assert drain.close() == store.objects[KEY]


def test_ranges_that_arrive_out_of_order_are_written_in_order(drain: Drain) -> None:
    import time

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


def test_a_range_that_comes_short_is_an_error(drain: Drain) -> None:
    store = FakeStore()
    store.objects[KEY] = os.urandom(10 * READ)
    info = store.stat(KEY)
    store.objects[KEY] = store.objects[KEY][: 5 * READ + 10]
    with pytest.raises(StorageError, match="expected"):
        download(store, info, drain.write, DownloadSettings(READ, 3))
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
        if method == "read":
            os.close(read)
            assert released.wait(10)

    store = FakeStore(before, parallel=False)
    store.objects[KEY] = os.urandom(READ)
    with pytest.raises(ReaderGone):
        fetch(store, write)
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
