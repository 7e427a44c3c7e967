"""The buffers of a stream, and the memory that streams share."""

from __future__ import annotations

import threading

import pytest

from fsspec_gp_plugin.transfer.buffers import Buffers, Memory


def stock(memory: Memory | None = None) -> Buffers:
    changed = threading.Semaphore(0)
    return Buffers(lambda: changed.acquire(timeout=5), changed.release, memory)  # type: ignore[arg-type]


def test_buffers_are_reused_and_never_more_than_asked() -> None:
    buffers = stock()
    first, second = buffers.take(100, 2), buffers.take(100, 2)
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(buffers.take(100, 2)))
    thread.start()
    thread.join(0.2)
    assert taken == []
    buffers.release(second)
    thread.join(5)
    assert taken == [second]
    assert first is not second


def test_whoever_waits_for_a_buffer_learns_of_an_error() -> None:
    def wait() -> None:
        raise RuntimeError("over")

    buffers = Buffers(wait, lambda: None)
    buffers.take(100, 1)
    with pytest.raises(RuntimeError, match="over"):
        buffers.take(100, 1)


def test_streams_share_memory_and_each_has_one_buffer_whatever_the_others_hold() -> None:
    memory = Memory(250)
    greedy, late = stock(memory), stock(memory)
    held = [greedy.take(100, 5), greedy.take(100, 5)]
    assert greedy.take_now(100, 5) is None
    first = late.take(100, 5)
    assert late.take_now(100, 5) is None
    assert late.take_now(100, 5, required=True) is not None
    assert memory.taken == 400
    # Its own buffer that comes back is enough to go on, however little memory there is.
    late.release(first)
    assert late.take_now(100, 5) is first
    greedy.release(held[0])
    greedy.close()
    late.close()
    assert memory.taken == 0


def test_larger_buffers_take_the_place_of_smaller_ones() -> None:
    memory = Memory(1000)
    buffers = stock(memory)
    buffers.release(buffers.take(100, 3))
    assert len(buffers.take(300, 3)) == 300
    assert memory.taken == 300
    buffers.close()
    assert memory.taken == 0


def test_a_buffer_that_a_failed_call_still_knows_is_replaced_all_the_same() -> None:
    buffers = stock()
    first = buffers.take(100, 2)
    known = memoryview(first)
    buffers.release(first)
    assert len(buffers.take(200, 2)) == 200
    known.release()
