"""Part sizes: how far a stream gets, and what it costs."""

from __future__ import annotations

import pytest

from fsspec_gp_plugin.storage.api import Capabilities
from fsspec_gp_plugin.storage.s3 import S3Store
from fsspec_gp_plugin.transfer.schedule import PartSchedule

MB = 1 << 20
S3 = S3Store.capabilities
UNLIMITED = Capabilities(parallel_parts=False, parallel_reads=False)


def test_s3_holds_5_tib_in_10_000_parts_of_at_most_5_gib() -> None:
    schedule = PartSchedule(8 * MB, 4, S3)
    sizes = [schedule.size(number) for number in range(1, 10_001)]
    assert sum(sizes) >= 5 << 40
    assert max(sizes) <= 5 << 30
    assert min(sizes) >= 5 * MB
    assert sizes == sorted(sizes)
    assert schedule.size(10_001) == 0


def test_buffers_stay_within_the_promised_memory() -> None:
    schedule = PartSchedule(8 * MB, 4, S3)
    position = 0
    for number in range(1, 10_001):
        size = schedule.size(number)
        memory = size * schedule.buffers(number)
        assert schedule.buffers(number) >= 2
        # decimal, as people say it
        limit = 128 * MB if position < 120e9 else 512 * MB if position < 1e12 else 2048 * MB
        assert memory <= limit, (number, position)
        position += size


@pytest.mark.parametrize("concurrency", [1, 4, 64])
def test_concurrency_gives_way_to_memory(concurrency: int) -> None:
    schedule = PartSchedule(8 * MB, concurrency, S3)
    assert schedule.buffers(1) == min(concurrency + 1, 16)


def test_a_larger_first_part_is_honoured() -> None:
    schedule = PartSchedule(100 * MB, 4, S3)
    assert schedule.size(1) == schedule.size(2000) == 100 * MB
    assert schedule.size(3000) == 256 * MB
    assert schedule.buffers(1) == 2


def test_a_store_without_a_limit_keeps_its_part_size() -> None:
    schedule = PartSchedule(8 * MB, 4, UNLIMITED)
    assert schedule.size(1) == schedule.size(1_000_000) == 8 * MB
    assert schedule.buffers(1) == 2


def test_a_first_part_below_the_stores_minimum_is_raised_to_it() -> None:
    assert PartSchedule(64 << 10, 4, S3).size(1) == 8 * MB
