"""Descriptor loops, and what wakes whoever sleeps in them."""

from __future__ import annotations

import os
import select
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import Interrupted
from fsspec_gp_plugin.transfer.descriptor_io import Wakeup, wait_until_readable, write_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes import Alarm


def test_a_bell_that_is_closed_rings_nowhere() -> None:
    """A late ring must not be written into a file that was given the number meanwhile."""
    with Wakeup() as wakeup:
        wakeup.wake()
    read, write = os.pipe2(os.O_NONBLOCK)  # takes the numbers that the wakeup had
    wakeup.wake()
    with pytest.raises(BlockingIOError):
        os.read(read, 1)
    os.close(read)
    os.close(write)


def test_a_bell_takes_any_number_of_rings() -> None:
    with Wakeup() as wakeup:
        for _ in range(100_000):
            wakeup.wake()
        wakeup.sleep(wakeup.watch())


def test_write_all_waits_for_a_pipe_that_does_not_block() -> None:
    read, write = os.pipe2(os.O_NONBLOCK)
    os.set_blocking(read, True)
    got = bytearray()

    def drain() -> None:
        while piece := os.read(read, 1000):
            got.extend(piece)

    thread = threading.Thread(target=drain)
    thread.start()
    data = os.urandom(1_000_000)
    write_all(write, data)
    os.close(write)
    thread.join()
    os.close(read)
    assert got == data


def test_a_sleeper_learns_what_happened_to_its_descriptor_and_that_it_rang() -> None:
    read, write = os.pipe()
    with Wakeup() as wakeup:
        poller = wakeup.watch(read, select.POLLIN)
        wakeup.wake()
        assert read not in wakeup.sleep(poller)
        os.write(write, b"x")
        assert wakeup.sleep(poller) == {read: select.POLLIN}
    os.close(read)
    os.close(write)


def test_a_result_needs_gzip_header() -> None:
    def later() -> int:
        time.sleep(0.1)
        return 7

    with Wakeup() as wakeup, ThreadPoolExecutor(1) as pool:
        assert wakeup.wait_for(pool.submit(later)) == 7
        with pytest.raises(ZeroDivisionError):
            wakeup.wait_for(pool.submit(lambda: 1 // 0))


@pytest.mark.parametrize("waits", ["readable", "result", "sleep", "write_all"])
def test_an_alarm_ends_every_wait(alarm: Alarm, waits: str) -> None:
    read, write = os.pipe2(os.O_NONBLOCK)
    hang = threading.Event()
    timer = threading.Timer(0.1, alarm.ring)
    timer.start()
    with Wakeup(alarm) as wakeup, ThreadPoolExecutor(1) as pool:
        wait: Callable[[], object] = {
            "readable": lambda: wait_until_readable(read, alarm),
            "result": lambda: wakeup.wait_for(pool.submit(hang.wait)),
            "sleep": lambda: wakeup.sleep(wakeup.watch(read, select.POLLIN)),
            "write_all": lambda: write_all(write, bytes(1 << 20), alarm=alarm),
        }[waits]
        with pytest.raises(Interrupted):
            wait()
        hang.set()
    timer.join()
    for fd in (read, write):
        os.close(fd)
