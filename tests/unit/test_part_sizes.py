"""Part sizes: how far a stream gets, what it costs, and what docs/memory.md says of it."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsspec_gp_plugin.storage.contract import Capabilities
from fsspec_gp_plugin.storage.s3.store import S3Store
from fsspec_gp_plugin.transfer.part_sizes import PartSchedule

if TYPE_CHECKING:
    from collections.abc import Iterator

KB, MB, GB, TB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
S3 = S3Store.capabilities
AZURE = Capabilities(parallel_parts=True, parallel_reads=True, max_part_size=4000 * MB, max_parts=50_000)
UNLIMITED = Capabilities(parallel_parts=True, parallel_reads=True)
IN_ORDER = Capabilities(parallel_parts=False, parallel_reads=False)

first_sizes = st.integers(64 * KB, 5 * GB) | st.integers(64 * KB, 64 * MB)
memory_limits = st.integers(MB, 64 * GB) | st.integers(MB, 256 * MB)
limits = st.sampled_from([1000, 10_000, 50_000]) | st.integers(2, 100_000)


class Run(NamedTuple):
    """Parts of one size: their count, bytes of each, the bytes before them and up to their end, buffers."""

    parts: int
    size: int
    start: int
    end: int
    buffers: int


def runs(schedule: PartSchedule, parts: int) -> Iterator[Run]:
    """The schedule's steps, found by halving: sizes never fall, which a test of every part shows."""
    number = 1
    position = 0
    while number <= parts:
        size = schedule.size(number)
        after = number + bisect_right(range(number, parts + 1), size, key=schedule.size)
        count = after - number
        yield Run(count, size, position, position + count * size, schedule.buffers(number))
        position += count * size
        number = after


def memory_up_to(position: float, schedule: PartSchedule, parts: int) -> int:
    """The most bytes of buffers while a stream of so many bytes is sent."""
    return max(run.size * run.buffers for run in runs(schedule, parts) if run.start < position)


@pytest.mark.parametrize(
    ("capabilities", "parts"),
    [(S3, 10_000), (AZURE, 50_000), (S3, 1000)],
)
def test_every_part(capabilities: Capabilities, parts: int) -> None:
    schedule = PartSchedule(8 * MB, 4, capabilities, max_parts=parts)
    sizes = [schedule.size(number) for number in range(1, parts + 1)]
    assert sizes[0] == 8 * MB
    assert sizes == sorted(sizes)
    assert min(sizes) >= capabilities.min_part_size
    assert max(sizes) <= capabilities.max_part_size
    assert sum(sizes) == schedule.capacity == sum(run.parts * run.size for run in runs(schedule, parts))
    assert schedule.size(parts + 1) == schedule.buffers(parts + 1) == 0


@pytest.mark.parametrize(("capabilities", "parts"), [(S3, 10_000), (AZURE, 50_000)])
def test_5_tib_fit(capabilities: Capabilities, parts: int) -> None:
    schedule = PartSchedule(8 * MB, 4, capabilities)
    assert schedule.capacity is not None
    assert schedule.capacity >= 5 * TB
    assert schedule.size(parts) > 0 == schedule.size(parts + 1)


@pytest.mark.parametrize("concurrency", [1, 4, 64])
def test_what_each_part_of_5_tib_costs_on_s3(concurrency: int) -> None:
    schedule = PartSchedule(8 * MB, concurrency, S3)
    position = 0
    for number in range(1, 10_001):
        size = schedule.size(number)
        memory = size * schedule.buffers(number)
        assert schedule.buffers(number) >= 2
        # decimal, as people say it
        limit = 128 * MB if position < 120e9 else 512 * MB if position < 1e12 else 2 * GB
        assert memory <= limit, (number, position)
        position += size
    assert position >= 5 * TB


def test_50_000_parts_stay_at_128_mib_up_to_3_tb() -> None:
    schedule = PartSchedule(8 * MB, 4, AZURE)
    assert memory_up_to(3e12, schedule, 50_000) <= 128 * MB
    assert memory_up_to(5 * TB, schedule, 50_000) <= 2 * GB


@pytest.mark.parametrize("concurrency", [1, 4, 64])
def test_concurrency_gives_way_to_memory(concurrency: int) -> None:
    schedule = PartSchedule(8 * MB, concurrency, S3)
    assert schedule.buffers(1) == min(concurrency + 1, 16)


def test_a_larger_first_part_is_honoured() -> None:
    schedule = PartSchedule(100 * MB, 4, S3)
    assert schedule.size(1) == schedule.size(2000) == 100 * MB
    assert schedule.size(3000) == 256 * MB
    assert schedule.buffers(1) == 2


def test_a_smaller_first_part_is_honoured() -> None:
    schedule = PartSchedule(5 * MB, 4, S3)
    assert [schedule.size(number) for number in (1, 400, 401)] == [5 * MB, 5 * MB, 16 * MB]


def test_a_store_without_a_limit_keeps_its_part_size() -> None:
    schedule = PartSchedule(8 * MB, 4, IN_ORDER)
    assert schedule.size(1) == schedule.size(1_000_000) == 8 * MB
    assert schedule.buffers(1) == 2
    assert schedule.capacity is None
    assert schedule.advice == ""


def test_a_first_part_below_the_stores_minimum_is_raised_to_it() -> None:
    assert PartSchedule(64 * KB, 4, S3).size(1) == 5 * MB


def test_a_larger_memory_limit_lets_more_parts_fly() -> None:
    default, larger = PartSchedule(8 * MB, 4, S3), PartSchedule(8 * MB, 4, S3, memory_limit=2 * GB)
    assert all(default.size(number) == larger.size(number) for number in range(1, 10_001))
    assert (default.buffers(1000), larger.buffers(1000)) == (2, 5)
    assert (default.buffers(10_000), larger.buffers(10_000)) == (2, 2)


def test_a_smaller_memory_limit_is_kept_for_as_long_as_the_parts_suffice() -> None:
    schedule = PartSchedule(8 * MB, 4, S3, memory_limit=32 * MB)
    steps = list(runs(schedule, 10_000))
    assert [step.size for step in steps] == [8 * MB, 16 * MB, GB]
    assert steps[1].size * steps[1].buffers == 32 * MB
    assert steps[1].end > 75e9


@pytest.mark.parametrize("parts", [10_000, 50_000, None])
def test_a_fixed_size_never_grows(parts: int | None) -> None:
    schedule = PartSchedule(8 * MB, 4, UNLIMITED, fixed=True, max_parts=parts)
    assert schedule.size(1) == schedule.size(parts or 1_000_000) == 8 * MB
    assert schedule.capacity == (None if parts is None else parts * 8 * MB)


def test_max_parts_replaces_the_stores_limit() -> None:
    assert PartSchedule(8 * MB, 4, S3, max_parts=1000).size(1001) == 0
    assert PartSchedule(8 * MB, 4, UNLIMITED, max_parts=1000).size(1001) == 0
    assert PartSchedule(8 * MB, 4, S3, max_parts=20_000).size(20_000) > 0


@pytest.mark.parametrize(
    ("schedule", "advice"),
    [
        (PartSchedule(8 * MB, 4, S3), "set a larger backup_multipart_chunksize, at least 1/10,000 of the stream"),
        (
            PartSchedule(8 * MB, 4, S3, fixed=True),
            "set a backup_multipart_chunksize of at least 1/10,000 of the stream (525MB holds 5 TB)",
        ),
        (
            PartSchedule(8 * MB, 4, S3, max_parts=1000),
            (
                "set a larger backup_multipart_chunksize, at least 1/1,000 of the stream, "
                "or a larger max_parts if the store takes more"
            ),
        ),
        (PartSchedule(5 * GB, 4, S3, max_parts=1000), "set a larger max_parts if the store takes more"),
        (PartSchedule(5 * GB, 4, S3), "no setting helps: the store takes no part above 5.0 GB"),
    ],
)
def test_the_advice_names_what_helps(schedule: PartSchedule, advice: str) -> None:
    assert schedule.advice == advice


def test_what_the_advice_says_is_enough() -> None:
    schedule = PartSchedule(525 * MB, 4, S3, fixed=True)
    assert schedule.capacity is not None
    assert schedule.capacity >= 5 * TB


@given(first_sizes, st.integers(1, 64), memory_limits, st.booleans(), limits, st.sampled_from([S3, AZURE, UNLIMITED]))
def test_sizes_never_fall_and_buffers_never_rise(
    first: int, concurrency: int, memory: int, fixed: bool, parts: int, capabilities: Capabilities
) -> None:
    schedule = PartSchedule(first, concurrency, capabilities, memory_limit=memory, fixed=fixed, max_parts=parts)
    asked = min(max(first, capabilities.min_part_size), capabilities.max_part_size)
    numbers = sorted({*range(1, parts + 1, max(1, parts // 500)), parts})
    sizes = [schedule.size(number) for number in numbers]
    assert sizes[0] == asked
    assert sizes == sorted(sizes)
    assert sizes[-1] <= capabilities.max_part_size
    assert schedule.size(parts + 1) == 0
    buffers = [schedule.buffers(number) for number in numbers]
    assert buffers == sorted(buffers, reverse=True)
    assert all(
        2 <= count <= concurrency + 1 and (count == 2 or count * size <= memory)
        for count, size in zip(buffers, sizes, strict=True)
    )
    steps = list(runs(schedule, parts))
    assert sum(step.parts for step in steps) == parts
    assert steps[-1].end == schedule.capacity
    if fixed:
        assert len(steps) == 1


@given(first_sizes, memory_limits, st.just(10_000) | st.just(50_000) | st.integers(3800, 100_000))
def test_5_tib_fit_whatever_is_set(first: int, memory: int, parts: int) -> None:
    schedule = PartSchedule(first, 4, S3, memory_limit=memory, max_parts=parts)
    assert schedule.capacity is not None
    assert schedule.capacity >= 5 * TB


@given(st.integers(5 * MB, 64 * MB), st.integers(1, 64), st.integers(128 * MB, 64 * GB), st.integers(10_000, 100_000))
def test_memory_is_spent_late(first: int, concurrency: int, memory: int, parts: int) -> None:
    schedule = PartSchedule(first, concurrency, S3, memory_limit=memory, max_parts=parts)
    for position, promised in ((120e9, 128 * MB), (1e12, 512 * MB), (5 * TB, 2 * GB)):
        assert memory_up_to(position, schedule, parts) <= max(promised, memory)


@given(first_sizes, st.integers(MB, 128 * MB - 1), limits)
def test_a_small_memory_limit_is_kept_for_as_long_as_1_gb_parts_can_catch_up(
    first: int, memory: int, parts: int
) -> None:
    schedule = PartSchedule(first, 4, S3, memory_limit=memory, max_parts=parts)
    default = PartSchedule(first, 4, S3, max_parts=parts)
    for run in runs(schedule, parts):
        assert run.buffers * run.size <= memory or run.size == schedule.size(1) or run.size >= GB
    # One part less of 1 GB, and the stream would not get as far as with the default.
    assert schedule.capacity is not None
    assert default.capacity is not None
    assert 0 <= schedule.capacity - default.capacity < GB


@given(first_sizes, st.integers(1, 64), memory_limits, st.integers(1, 10**9))
def test_without_a_limit_every_part_is_like_the_first(first: int, concurrency: int, memory: int, number: int) -> None:
    schedule = PartSchedule(first, concurrency, UNLIMITED, memory_limit=memory)
    assert schedule.size(number) == first
    assert schedule.buffers(number) == min(concurrency + 1, max(2, memory // first))


@given(first_sizes.filter(lambda size: size <= 64 * MB), st.integers(1, 64))
def test_stores_without_a_limit_stay_within_128_mib(first: int, concurrency: int) -> None:
    schedule = PartSchedule(first, concurrency, UNLIMITED)
    assert schedule.size(1) * schedule.buffers(1) <= 128 * MB


# The tables of docs/memory.md


def _binary(count: int) -> str:
    for unit, name in ((TB, "TiB"), (GB, "GiB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count // MB} MiB"


def _position(count: int) -> str:
    return f"{_binary(count)} ({count / 1e12:.3g} TB)" if count >= 1e12 else f"{_binary(count)} ({count / 1e9:.3g} GB)"


def _table(schedule: PartSchedule, parts: int) -> list[str]:
    lines = ["| position in the stream, up to | parts | of | in flight | buffers |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| {_position(run.end)} | {run.parts:,} | {_binary(run.size)} | {run.buffers - 1} "
        f"| {_binary(run.size * run.buffers)} |"
        for run in runs(schedule, parts)
    ]
    return lines


def _without_limit(schedule: PartSchedule) -> str:
    size, buffers = schedule.size(1), schedule.buffers(1)
    return f"| any | any | {_binary(size)} | {buffers - 1} | {_binary(size * buffers)} |"


def _option(count: int) -> str:
    return _binary(count).replace("iB", "B").replace(" ", "")


def _kept(memory: int) -> str:
    schedule = PartSchedule(8 * MB, 4, S3, memory_limit=memory)
    steps = list(runs(schedule, 10_000))
    kept = max(run.end for run in steps if run.size * run.buffers <= memory)
    above = next((run.size * run.buffers for run in steps if run.size * run.buffers > memory), None)
    return (
        f"| `{_option(memory)}` | {_position(kept)} | {'nothing more' if above is None else _binary(above)} "
        f"| {steps[0].buffers - 1} | {_binary(memory_up_to(1e12, schedule, 10_000))} |"
    )


def reference() -> str:
    """The generated part of docs/memory.md."""
    thousand = PartSchedule(8 * MB, 4, S3, max_parts=1000)
    lines = ["**10,000 parts** (S3):", "", *_table(PartSchedule(8 * MB, 4, S3), 10_000), ""]
    lines += ["**50,000 parts** (Azure):", "", *_table(PartSchedule(8 * MB, 4, AZURE), 50_000), ""]
    lines += ["**1,000 parts** (`max_parts: 1000`):", "", *_table(thousand, 1000), ""]
    lines += ["**No limit** (disk, Google where it takes no parts), parts in parallel, and one after another:", ""]
    lines += [*_table(thousand, 0), _without_limit(PartSchedule(8 * MB, 4, UNLIMITED))]
    lines += [_without_limit(PartSchedule(8 * MB, 4, IN_ORDER)), ""]
    lines += ["What `memory_limit` does to a stream into 10,000 parts:", ""]
    lines += ["| `memory_limit` | kept up to | then | 8 MiB parts in flight | the most for 1 TB |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    lines += [_kept(memory) for memory in (16 * MB, 32 * MB, 64 * MB, 128 * MB, 512 * MB, 2 * GB)]
    return "\n".join(lines)


def test_the_documents_tables_are_the_codes() -> None:
    assert reference() in Path("docs/memory.md").read_text(), reference()
