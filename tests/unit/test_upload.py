"""The upload engine against a Store with scripted faults."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import Interrupted, LocalFileError, StorageError, Unreachable
from fsspec_gp_plugin.transfer.upload import Upload, UploadSettings
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsspec_gp_plugin.storage.contract import ObjectInfo

PART = 1 << 16
KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000"


class Pipe:
    """A pipe whose writing end a thread feeds."""

    def __init__(self) -> None:
        self.read, self._write = os.pipe()
        self._threads: list[threading.Thread] = []

    def feed(self, data: bytes, *, close: bool = True) -> None:
        def work() -> None:
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(self._write, view) :]
            except BrokenPipeError:
                pass
            if close:
                self.end()

        self._threads.append(threading.Thread(target=work))
        self._threads[-1].start()

    def end(self) -> None:
        if self._write >= 0:
            os.close(self._write)
            self._write = -1

    def close(self) -> None:
        os.close(self.read)
        for thread in self._threads:
            thread.join(10)
        self.end()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    opened = Pipe()
    yield opened
    opened.close()


def send(store: FakeStore, source: int, notes: list[str] | None = None, concurrency: int = 4) -> int:
    notes = [] if notes is None else notes
    return Upload(store, KEY, UploadSettings(PART, concurrency), notes.append).run(source).size


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 10 * PART + 7])
@pytest.mark.parametrize("single_request_put", [True, False])
def test_every_size_arrives_whole(pipe: Pipe, size: int, single_request_put: bool) -> None:
    data = os.urandom(size)
    store = FakeStore(single_request_put=single_request_put)
    pipe.feed(data)
    assert send(store, pipe.read) == size
    assert store.objects == {KEY: data}
    assert store.aborted == []


@pytest.mark.parametrize("size", [0, 1, PART])
def test_a_small_stream_is_one_request(pipe: Pipe, size: int) -> None:
    store = FakeStore()
    pipe.feed(os.urandom(size))
    send(store, pipe.read)
    assert [call[0] for call in store.calls] == ["put"]


def test_parts_fly_together_but_never_more_than_asked(pipe: Pipe) -> None:
    store = FakeStore(lambda method, *_: time.sleep(0.02) if method == "write" else None)
    pipe.feed(os.urandom(30 * PART))
    send(store, pipe.read, concurrency=3)
    assert store.most_flying == 3


def test_a_store_that_wants_order_gets_one_part_after_another(pipe: Pipe) -> None:
    store = FakeStore(parallel=False)
    data = os.urandom(20 * PART)
    pipe.feed(data)
    send(store, pipe.read)
    assert store.most_flying == 1
    assert [number for method, _, number in store.calls if method == "write"] == list(range(1, 21))
    assert store.objects[KEY] == data


def test_a_part_is_sent_while_the_stream_is_still_being_read(pipe: Pipe) -> None:
    first_part_sent = threading.Event()
    store = FakeStore(lambda method, *_: first_part_sent.set() if method == "write" else None)
    pipe.feed(os.urandom(PART + 1), close=False)
    thread = threading.Thread(target=send, args=(store, pipe.read))
    thread.start()
    assert first_part_sent.wait(10), "nothing was sent before the stream ended"
    pipe.end()
    thread.join(10)
    assert len(store.objects[KEY]) == PART + 1


def _failing_at(method: str, number: int) -> FakeStore:
    def before(called: str, _key: str, at: int) -> None:
        if (called, at) == (method, number):
            raise Unreachable("the store is not available")

    return FakeStore(before)


@pytest.mark.parametrize(("method", "number"), [("write", 1), ("write", 3), ("write", 10), ("complete", 0)])
def test_a_failure_aborts_and_is_raised(pipe: Pipe, method: str, number: int) -> None:
    store = _failing_at(method, number)
    pipe.feed(os.urandom(10 * PART))
    with pytest.raises(Unreachable):
        send(store, pipe.read)
    assert KEY in store.aborted
    assert store.objects == {}


def test_a_failing_put_is_raised(pipe: Pipe) -> None:
    store = _failing_at("put", 0)
    pipe.feed(b"small")
    with pytest.raises(Unreachable):
        send(store, pipe.read)
    assert store.objects == {}


def test_a_failed_part_ends_the_upload_while_the_producer_is_silent(pipe: Pipe) -> None:
    store = _failing_at("write", 1)
    pipe.feed(os.urandom(PART + 1), close=False)
    started = time.monotonic()
    with pytest.raises(Unreachable):
        send(store, pipe.read)
    assert time.monotonic() - started < 5
    assert store.aborted


def test_an_abort_that_fails_is_noted_and_the_first_error_raised(pipe: Pipe) -> None:
    def before(method: str, _key: str, _number: int) -> None:
        if method == "write":
            raise Unreachable("first")
        if method == "abort":
            raise Unreachable("second")

    notes: list[str] = []
    pipe.feed(os.urandom(2 * PART))
    with pytest.raises(Unreachable, match="first"):
        send(FakeStore(before), pipe.read, notes)
    assert len(notes) == 1
    assert "could not be removed: second" in notes[0]


def test_abort_from_another_thread_ends_a_running_upload(pipe: Pipe) -> None:
    reached = threading.Event()
    store = FakeStore(lambda method, *_: reached.set() if method == "write" else None)
    notes: list[str] = []
    upload = Upload(store, KEY, UploadSettings(PART, 2), notes.append)
    pipe.feed(os.urandom(PART + 1), close=False)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            upload.run(pipe.read)
        except StorageError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert reached.wait(10)
    upload.abort(StorageError("the command has ended"))
    pipe.end()
    thread.join(10)
    assert errors
    assert store.objects == {}


def test_a_stream_with_more_parts_than_the_store_takes_fails_before_the_limit(pipe: Pipe) -> None:
    # The smallest step of the schedule is 8 MB, so a limit of two parts is passed by 17 MB.
    store = FakeStore(max_parts=2)
    pipe.feed(bytes((2 << 30) // 1024))
    store.capabilities = type(store.capabilities)(
        parallel_parts=True, parallel_reads=True, max_part_size=2 * PART, max_parts=2
    )
    with pytest.raises(StorageError, match="set a larger backup_multipart_chunksize"):
        send(store, pipe.read)
    assert store.objects == {}
    assert store.aborted


def test_an_input_that_cannot_be_read_is_an_error() -> None:
    fd = os.open("/dev/null", os.O_WRONLY)
    try:
        with pytest.raises(LocalFileError, match="can't read the input"):
            send(FakeStore(), fd)
    finally:
        os.close(fd)


def test_no_descriptors_and_threads_are_left(pipe: Pipe) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    pipe.feed(os.urandom(5 * PART))
    send(FakeStore(), pipe.read)
    deadline = time.monotonic() + 5
    while threading.active_count() > 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) <= len(before)


def test_a_failed_part_ends_the_upload_while_another_one_stalls(pipe: Pipe) -> None:
    released = threading.Event()

    def before(method: str, _key: str, number: int) -> None:
        if method == "write" and number == 1:
            released.wait(20)
        if method == "write" and number == 2:
            raise Unreachable("the store is not available")

    pipe.feed(os.urandom(2 * PART))
    started = time.monotonic()
    with pytest.raises(Unreachable):
        send(FakeStore(before), pipe.read)
    assert time.monotonic() - started < 5
    released.set()


def test_a_signal_that_comes_when_the_object_is_visible_is_too_late(pipe: Pipe) -> None:
    """The one who waits for the request is interrupted after it has done its work."""

    def interrupt(*_: object) -> None:
        raise Interrupted(signal.SIGUSR2)

    class Store(FakeStore):
        def put(self, key: str, data: memoryview) -> ObjectInfo:
            info = super().put(key, data)
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR2)).start()
            time.sleep(0.4)
            return info

    previous = signal.signal(signal.SIGUSR2, interrupt)
    try:
        pipe.feed(b"data")
        assert send(Store(), pipe.read) == 4
    finally:
        signal.signal(signal.SIGUSR2, previous)


def test_a_signal_during_an_abort_lets_it_finish_and_is_not_lost(pipe: Pipe) -> None:
    """Before Python 3.13 a thread whose join() is interrupted counts as ended."""

    def interrupt(*_: object) -> None:
        raise Interrupted(signal.SIGUSR2)

    def before(method: str, _key: str, _number: int) -> None:
        if method == "write":
            raise Unreachable("the store is not available")
        if method == "abort":
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR2)).start()
            time.sleep(0.6)

    store = FakeStore(before)
    previous = signal.signal(signal.SIGUSR2, interrupt)
    notes: list[str] = []
    try:
        pipe.feed(os.urandom(2 * PART))
        with pytest.raises(Interrupted):
            send(store, pipe.read, notes)
    finally:
        signal.signal(signal.SIGUSR2, previous)
    assert (store.aborted, notes) == ([KEY], [])
