"""What a call takes back when it ends."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import Interrupted, PluginError
from fsspec_gp_plugin.log import Log
from fsspec_gp_plugin.process import Streams
from fsspec_gp_plugin.protocol.context import Context
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("executablepath: /x\noptions:\n  url: s3://bucket\n  backup_multipart_chunksize: 64KB\n")
    return path


def running(context: Context, count: int) -> tuple[list[threading.Thread], list[int]]:
    """So many uploads, each of which waits for more input, and the writing ends of their pipes."""
    threads, ends = [], []

    def send(read: int, key: str) -> None:
        with pytest.raises(PluginError):
            context.send(read, key)
        os.close(read)

    for number in range(count):
        read, write = os.pipe()
        os.set_blocking(write, False)
        os.write(write, bytes(65536))
        ends.append(write)
        threads.append(threading.Thread(target=send, args=(read, f"key{number}")))
        threads[-1].start()
        os.set_blocking(write, True)
        os.write(write, b"more")
    return threads, ends


def wait_for(store: FakeStore, method: str, count: int) -> None:
    deadline = time.monotonic() + 10
    while sum(call[0] == method for call in store.calls) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_uploads_of_other_threads_are_aborted_and_new_ones_refused(config: Path, tmp_path: Path) -> None:
    store = FakeStore()
    context = Context(Streams(0, 1, 2), Log(str(tmp_path / "log")), "test", str(config), store)
    threads, ends = running(context, 3)
    wait_for(store, "write", 3)
    context.close(10)
    with pytest.raises(PluginError, match="has ended"):
        context.send(0, "late")
    store.put("x", memoryview(b"x"))
    with pytest.raises(PluginError, match="has ended"):
        context.fetch_file(store, "x", str(tmp_path / "late"))
    for end in ends:
        os.close(end)
    for thread in threads:
        thread.join(10)
    assert {"key0", "key1", "key2"} <= set(store.aborted)
    assert context.left_behind == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "log"]


def test_an_abort_that_takes_too_long_is_told(config: Path, tmp_path: Path) -> None:
    store = FakeStore(lambda method, *_: time.sleep(1) if method == "abort" else None)
    context = Context(Streams(0, 1, 2), Log(str(tmp_path / "log")), "test", str(config), store)
    threads, ends = running(context, 1)
    wait_for(store, "write", 1)
    context.close(0.1)
    assert context.left_behind == ["an unfinished upload could not be removed in time"]
    for end in ends:
        os.close(end)
    for thread in threads:
        thread.join(10)


def test_a_process_that_ends_before_it_could_clean_up_tells_that(config: Path, tmp_path: Path) -> None:
    store = FakeStore()
    context = Context(Streams(0, 1, 2), Log(str(tmp_path / "log")), "test", str(config), store)
    threads, ends = running(context, 1)
    wait_for(store, "write", 1)
    context.end_at_once()
    assert context.left_behind == ["an unfinished upload could not be removed in time"]
    context.left_behind.clear()
    context.close(10)
    context.end_at_once()
    assert context.left_behind == []
    for end in ends:
        os.close(end)
    for thread in threads:
        thread.join(10)


def test_closing_may_be_interrupted_and_repeated(config: Path, tmp_path: Path) -> None:
    import signal

    def interrupt(*_: object) -> None:
        raise Interrupted(signal.SIGUSR2)

    store = FakeStore(lambda method, *_: time.sleep(0.5) if method == "abort" else None)
    context = Context(Streams(0, 1, 2), Log(str(tmp_path / "log")), "test", str(config), store)
    threads, ends = running(context, 2)
    wait_for(store, "write", 2)
    previous = signal.signal(signal.SIGUSR2, interrupt)
    try:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR2)).start()
        with pytest.raises(Interrupted):
            context.close(10)
        context.close(10)
    finally:
        signal.signal(signal.SIGUSR2, previous)
    assert {"key0", "key1"} <= set(store.aborted)
    for end in ends:
        os.close(end)
    for thread in threads:
        thread.join(10)
