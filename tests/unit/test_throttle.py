"""The limit on a stream's rate."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsspec_gp_plugin.transfer.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable

MB = 1 << 20


class Clock:
    """A clock that only sleeping and `pass_` move. Each sleep takes `lag` seconds more than asked."""

    def __init__(self, lag: float = 0.0) -> None:
        self.now = 1000.0
        self.lag = lag
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds + self.lag

    def pass_(self, seconds: float) -> None:
        self.now += seconds


def throttled(rate: int | None, clock: Clock) -> Throttle:
    return Throttle(rate, clock, clock.sleep)


def move(throttle: Throttle, total: int, wanted: int) -> None:
    while total:
        allowed = throttle.allow(min(wanted, total))
        assert 1 <= allowed <= min(wanted, total)
        throttle.count(allowed)
        total -= allowed


@pytest.mark.parametrize("rate", [1, 3, 1024, MB, 50 * MB, 10_000 * MB])
@pytest.mark.parametrize("wanted", [1, 1000, 8 * MB])
def test_a_stream_takes_as_long_as_its_rate_says(rate: int, wanted: int) -> None:
    clock = Clock()
    total = min(10 * rate, 20_000 * wanted)
    move(throttled(rate, clock), total, wanted)
    elapsed = clock.now - 1000
    assert elapsed >= (total - max(1, rate / 10)) / rate - 1e-6
    assert elapsed <= total / rate + 0.11


def test_a_system_that_oversleeps_does_not_slow_the_stream() -> None:
    clock = Clock(lag=0.01)
    move(throttled(50 * MB, clock), 500 * MB, 8 * MB)
    assert 9.8 <= clock.now - 1000 <= 10.2


def test_sleeps_are_short_and_few() -> None:
    clock = Clock()
    move(throttled(50 * MB, clock), 500 * MB, 256 << 10)
    assert max(clock.sleeps) <= 0.1
    assert len(clock.sleeps) <= 10 * 25


def test_a_pause_is_not_saved_up() -> None:
    clock = Clock()
    throttle = throttled(10 * MB, clock)
    move(throttle, 10 * MB, MB)
    clock.pass_(60)
    resumed = clock.now
    move(throttle, 10 * MB, MB)
    assert clock.now - resumed >= 0.9 - 1e-6


@given(
    rate=st.integers(1 << 10, 1 << 30),
    turns=st.lists(st.tuples(st.integers(1, 64 * MB), st.floats(0, 1), st.floats(0, 0.5)), min_size=1, max_size=50),
    lag=st.floats(0, 0.05),
)
def test_no_span_of_time_has_more_than_its_share(rate: int, turns: list[tuple[int, float, float]], lag: float) -> None:
    """Whatever is wanted, however little of what is allowed is moved, and whatever pauses there are."""
    clock = Clock(lag)
    throttle = throttled(rate, clock)
    moves: list[tuple[float, int]] = []
    for wanted, share, pause in turns:
        asked = clock.now
        allowed = throttle.allow(wanted)
        assert 1 <= allowed <= wanted
        assert clock.now - asked <= 0.11 + 2 * lag
        moved = int(allowed * share)
        throttle.count(moved)
        moves.append((clock.now, moved))
        clock.pass_(pause)
    for first in range(len(moves)):
        total = 0
        for at, moved in moves[first:]:
            total += moved
            assert total <= (at - moves[first][0]) * rate + rate / 10 + 1


def test_more_than_was_allowed_is_made_up_for() -> None:
    clock = Clock()
    throttle = throttled(MB, clock)
    throttle.count(5 * MB)
    throttle.allow(MB)
    assert clock.now - 1000 >= 4.9
    assert max(clock.sleeps) <= 0.1


def test_an_error_in_the_sleep_ends_the_wait() -> None:
    def sleep(_: float) -> None:
        raise InterruptedError

    throttle = Throttle(MB, Clock(), sleep)
    throttle.count(MB)
    with pytest.raises(InterruptedError):
        throttle.allow(1)


def test_without_a_rate_nothing_waits() -> None:
    clock = Clock()
    throttle = throttled(None, clock)
    for _ in range(1000):
        assert throttle.allow(1 << 40) == 1 << 40
        throttle.count(1 << 40)
    assert clock.sleeps == []


def _seconds(work: Callable[[], None]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def test_the_real_clock_agrees() -> None:
    # How much later than that depends on the machine; the tests above say when it may go on.
    assert _seconds(lambda: move(Throttle(20 * MB), 10 * MB, 256 << 10)) >= 0.38
