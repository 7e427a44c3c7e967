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
from fsspec_gp_plugin.transfer.descriptor_io import Bell, wait_until_readable, write_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes import Alarm


def test_a_bell_that_is_closed_rings_nowhere() -> None:
    """A late ring must not be written into a file that was given the number meanwhile."""
    with Bell() as bell:
        bell.ring()
    read, write = os.pipe2(os.O_NONBLOCK)  # takes the numbers that the bell had
    bell.ring()
    with pytest.raises(BlockingIOError):
        os.read(read, 1)
    os.close(read)
    os.close(write)


def test_a_bell_takes_any_number_of_rings() -> None:
    with Bell() as bell:
        for _ in range(100_000):
            bell.ring()
        bell.sleep(bell.watch())


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
    with Bell() as bell:
        poller = bell.watch(read, select.POLLIN)
        bell.ring()
        assert read not in bell.sleep(poller)
        os.write(write, b"x")
        assert bell.sleep(poller) == {read: select.POLLIN}
    os.close(read)
    os.close(write)


def test_a_result_needs_gzip_header() -> None:
    def later() -> int:
        time.sleep(0.1)
        return 7

    with Bell() as bell, ThreadPoolExecutor(1) as pool:
        assert bell.result_of(pool.submit(later)) == 7
        with pytest.raises(ZeroDivisionError):
            bell.result_of(pool.submit(lambda: 1 // 0))


@pytest.mark.parametrize("waits", ["readable", "result", "sleep", "write_all"])
def test_an_alarm_ends_every_wait(alarm: Alarm, waits: str) -> None:
    read, write = os.pipe2(os.O_NONBLOCK)
    hang = threading.Event()
    timer = threading.Timer(0.1, alarm.ring)
    timer.start()
    with Bell(alarm) as bell, ThreadPoolExecutor(1) as pool:
        wait: Callable[[], object] = {
            "readable": lambda: wait_until_readable(read, alarm),
            "result": lambda: bell.result_of(pool.submit(hang.wait)),
            "sleep": lambda: bell.sleep(bell.watch(read, select.POLLIN)),
            "write_all": lambda: write_all(write, bytes(1 << 20), alarm=alarm),
        }[waits]
        with pytest.raises(Interrupted):
            wait()
        hang.set()
    timer.join()
    for fd in (read, write):
        os.close(fd)
