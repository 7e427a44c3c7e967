"""Descriptor loops and buffers."""

from __future__ import annotations

import os
import threading

import pytest

from fsspec_gp_plugin.transfer.pump import Bell, Buffers, write_all


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
        bell.quiet()


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


def test_buffers_are_reused_and_never_more_than_asked() -> None:
    buffers = Buffers(lambda: None)
    first, second = buffers.take(100, 2), buffers.take(100, 2)
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(buffers.take(100, 2)))
    thread.start()
    thread.join(0.2)
    assert taken == []
    buffers.give_back(second)
    thread.join(5)
    assert taken == [second]
    assert first is not second


def test_whoever_waits_for_a_buffer_learns_of_an_error() -> None:
    errors: list[Exception] = []

    def check() -> None:
        if errors:
            raise errors[0]

    buffers = Buffers(check)
    buffers.take(100, 1)
    threading.Timer(0.1, lambda: (errors.append(RuntimeError("over")), buffers.wake())).start()
    with pytest.raises(RuntimeError, match="over"):
        buffers.take(100, 1)
