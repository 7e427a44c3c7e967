"""How a stream and a process end after a signal: within two seconds, and without touching what is no longer theirs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDone
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin import call, process
from fsspec_gp_plugin.errors import Interrupted
from fsspec_gp_plugin.storage.local.store import LocalStore
from fsspec_gp_plugin.transfer import finish
from fsspec_gp_plugin.transfer.descriptor_io import Wakeup
from fsspec_gp_plugin.transfer.upload import Upload, UploadSettings
from tests.fakes import Alarm, FakeStore

if TYPE_CHECKING:
    from pathlib import Path

PART = 1 << 14
KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000"


def fed(data: bytes) -> int:
    """The reading end of a pipe that holds these bytes and ends."""
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    return read


class Undecided(Future[Any]):
    """A request that never ends; it remembers for how long its result was awaited."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited: list[float | None] = []

    def result(self, timeout: float | None = None) -> Any:
        self.awaited.append(timeout)
        raise NotDone


def test_a_request_that_makes_the_object_visible_has_seven_tenths_of_a_second_to_tell(alarm: Alarm) -> None:
    request = Undecided()
    alarm.ring()
    with Wakeup(alarm) as wakeup, pytest.raises(Interrupted):
        finish.wait_for_outcome(request, wakeup)
    assert request.awaited == [0.7]


@pytest.mark.parametrize("size", [PART // 2, 2 * PART], ids=["put", "complete"])
def test_a_signal_ends_an_upload_whose_last_request_hangs(
    alarm: Alarm, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(finish, "_SETTLE_SECONDS", 0.02)
    store_may_go_on = threading.Event()

    def hang(method: str, _key: str, _number: int) -> None:
        if method in ("put", "complete"):
            alarm.ring()
            store_may_go_on.wait(20)

    store = FakeStore(hang)
    source = fed(bytes(size))
    try:
        with pytest.raises(Interrupted):
            Upload(store, KEY, UploadSettings(PART, 2), lambda _: None, alarm=alarm).run(source)
        assert store.objects == {}
        assert store.aborted == ([] if size < PART else [KEY])
    finally:
        store_may_go_on.set()
        os.close(source)


def test_what_follows_a_signal_fits_into_two_seconds() -> None:
    in_a_stream = finish._SETTLE_SECONDS + finish._ABORT_AFTER_SIGNAL_SECONDS
    in_a_call = call._ABORT_SECONDS_AFTER_SIGNAL
    assert max(in_a_stream, in_a_call) < process._LAST_CALL_SECONDS
    assert process._LAST_CALL_SECONDS + process._LAST_WORDS_SECONDS < 2


_HANGING = """
import os, signal, sys, threading
from fsspec_gp_plugin import process

class Clock:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        if seconds == process._LAST_WORDS_SECONDS and sys.argv[1] == "returns":
            threading.Event().wait()  # the last words are quicker
        self.now += seconds

def end_at_once(interrupted):
    os.write(1, b"asked for last words after %.1f s\\n" % clock.now)
    if sys.argv[1] == "hangs":
        told.set()
        threading.Event().wait()
    return 7

def end(status):
    if sys.argv[1] == "hangs":
        told.wait()
    os.write(1, b"ended after %.1f s\\n" % clock.now)
    os._exit(status)

clock = process.time = Clock()
told = threading.Event()
process.os = type("Os", (), {"_exit": staticmethod(end)})
process.raise_on_signals(end_at_once)
signals = [signal.SIGTERM]
while True:
    try:
        while signals:
            os.kill(os.getpid(), signals.pop())
        threading.Event().wait()
    except BaseException:  # as in a call that no exception can end
        pass
"""


@pytest.mark.parametrize(("end_at_once", "status"), [("returns", 7), ("hangs", 128 + signal.SIGTERM)])
def test_a_process_that_hangs_ends_within_two_seconds_of_a_signal(end_at_once: str, status: int) -> None:
    """On a clock of its own: the thread that waits for the main one is not asked to sleep but to count."""
    ended = subprocess.run([sys.executable, "-c", _HANGING, end_at_once], capture_output=True, timeout=60, check=False)
    assert ended.stderr == b""
    assert ended.returncode == status
    asked, end = ended.stdout.decode().splitlines()
    # They are asked for in another thread, while the clock may go on.
    assert asked in {f"asked for last words after {seconds} s" for seconds in ("1.7", "1.9")}
    assert end in {"returns": ["ended after 1.7 s"], "hangs": ["ended after 1.9 s"]}[end_at_once]


def test_a_stream_that_has_ended_reads_nothing_from_a_file_that_got_its_descriptors_number(
    alarm: Alarm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the agent the next caller's stream gets it, while the thread of the one before may still be about to read."""
    may_read, has_read = threading.Event(), threading.Event()
    readv = os.readv

    def late(fd: int, buffers: Any) -> int:
        alarm.ring()
        may_read.wait(20)
        try:
            return readv(fd, buffers)
        finally:
            has_read.set()

    monkeypatch.setattr(os, "readv", late)
    source = fed(b"of the first stream")
    with pytest.raises(Interrupted):
        Upload(LocalStore(str(tmp_path)), KEY, UploadSettings(), lambda _: None, alarm=alarm).run(source)
    following, write = os.pipe2(os.O_NONBLOCK)
    os.write(write, b"of the next stream")
    os.dup2(following, source)
    may_read.set()
    assert has_read.wait(20)
    assert os.read(following, 100) == b"of the next stream"
    for fd in (source, following, write):
        os.close(fd)
