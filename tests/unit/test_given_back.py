"""A stream that fails leaves no buffer behind, though nobody collects garbage: an agent may have nothing more to do."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import Interrupted, ReaderGone, StorageError
from fsspec_gp_plugin.transfer.buffers import release_frames
from fsspec_gp_plugin.transfer.download import Download, DownloadSettings
from fsspec_gp_plugin.transfer.upload import Upload, UploadSettings
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Iterator

# Unlike any other mapping's.
SIZE = 37 << 12
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _no_garbage_is_collected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def mapped() -> int:
    """How many buffers there are, by the kernel."""
    found = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, _, end = line.split()[0].partition("-")
        found += "/dev/zero" in line and int(end, 16) - int(start, 16) == SIZE
    return found


def require_none() -> None:
    """Soon: a request that was under way may have to end first."""
    deadline = time.monotonic() + PATIENCE
    while mapped():
        assert time.monotonic() < deadline, mapped()
        time.sleep(0.01)


def failing(error: Exception) -> None:
    """Raise an error that knows of itself, as one does that went through a function by which it is told."""

    def told(error: Exception) -> None:
        raise error

    told(error)


class Alarm:
    """Goes off when it is rung."""

    def __init__(self) -> None:
        self.fd, self._ring = os.pipe()

    def ring(self) -> None:
        os.write(self._ring, b"!")

    def check(self) -> None:
        if os.get_blocking(self.fd):
            os.set_blocking(self.fd, False)
        try:
            os.read(self.fd, 1)
        except BlockingIOError:
            return
        raise Interrupted(9)

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._ring)


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    made = Alarm()
    yield made
    made.close()


def upload(store: FakeStore, alarm: Alarm, parts: int = 4) -> None:
    """Of a pipe that stays open, but for what is read from it."""
    read, write = os.pipe()
    feeder = threading.Thread(target=lambda: os.write(write, bytes(SIZE * parts)))
    feeder.start()
    try:
        Upload(store, "key", UploadSettings(SIZE, fixed=True), lambda _: None, alarm=alarm).run(read)
    finally:
        os.set_blocking(read, False)
        while feeder.is_alive():
            try:
                os.read(read, SIZE)
            except BlockingIOError:
                time.sleep(0.001)
        os.close(read)
        os.close(write)


def test_an_upload_that_is_interrupted_while_it_waits(alarm: Alarm) -> None:
    written: list[int] = []

    def before(method: str, _key: str, number: int) -> None:
        if method == "write":
            written.append(number)
            if len(written) == 3:
                alarm.ring()

    with pytest.raises(Interrupted):
        upload(FakeStore(before), alarm)
    require_none()


@pytest.mark.parametrize("fails", [True, False])
def test_an_upload_that_is_interrupted_while_a_part_is_under_way(alarm: Alarm, fails: bool) -> None:
    """The part ends when all else is over, be it well or not."""
    goes_on = threading.Event()

    def before(method: str, _key: str, number: int) -> None:
        if method == "write" and number == 2:
            alarm.ring()
            assert goes_on.wait(PATIENCE)
            if fails:
                failing(StorageError("the connection was closed"))

    with pytest.raises(Interrupted):
        upload(FakeStore(before), alarm)
    assert mapped()
    goes_on.set()
    require_none()


def test_an_upload_whose_part_fails(alarm: Alarm) -> None:
    def before(method: str, _key: str, number: int) -> None:
        if method == "write" and number == 2:
            failing(StorageError("denied"))

    with pytest.raises(StorageError, match="denied"):
        upload(FakeStore(before), alarm)
    require_none()


def download(store: FakeStore, sink: int) -> None:
    store.objects["key"] = bytes(SIZE * 8)
    Download(store, sink, DownloadSettings(SIZE)).write_whole("key")


def test_a_download_whose_reader_goes() -> None:
    read, write = os.pipe()

    def before(method: str, _key: str, start: int) -> None:
        if method == "read" and start == 2 * SIZE:
            os.close(read)

    with pytest.raises(ReaderGone):
        download(FakeStore(before), write)
    os.close(write)
    require_none()


def test_a_download_of_which_a_range_fails() -> None:
    def before(method: str, _key: str, start: int) -> None:
        if method == "read" and start == 2 * SIZE:
            failing(StorageError("denied"))

    with pytest.raises(StorageError, match="denied"), open("/dev/null", "wb") as sink:
        download(FakeStore(before), sink.fileno())
    require_none()


@pytest.mark.parametrize("fails", [True, False])
def test_a_download_that_fails_while_a_range_is_under_way(fails: bool) -> None:
    """The range ends when all else is over, be it well or not."""
    goes_on = threading.Event()

    def before(method: str, _key: str, start: int) -> None:
        if method == "read" and start == SIZE:
            failing(StorageError("denied"))
        if method == "read" and start == 2 * SIZE:
            assert goes_on.wait(PATIENCE)
            if fails:
                failing(StorageError("the connection was closed"))

    with pytest.raises(StorageError, match="denied"), open("/dev/null", "wb") as sink:
        download(FakeStore(before), sink.fileno())
    assert mapped()
    goes_on.set()
    require_none()


class Held:
    """What a call knows."""


def send(held: Held) -> None:
    """Fail, while it is known."""
    failing(OSError(f"no connection for {held}"))


def test_letting_go_of_an_error_lets_go_of_what_its_causes_knew() -> None:
    known: list[weakref.ref[Held]] = []

    def request() -> None:
        held = Held()
        known.append(weakref.ref(held))
        try:
            send(held)
        except OSError as error:
            raise StorageError("can't write") from error

    try:
        request()
    except StorageError as error:
        assert known[0]() is not None
        release_frames(error)
        assert known[0]() is None


def test_letting_go_of_an_error_ends_though_its_causes_go_around() -> None:
    one, other = StorageError("one"), StorageError("other")
    one.__cause__, other.__cause__ = other, one
    release_frames(one)
    one.__cause__ = None
