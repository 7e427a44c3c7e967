"""Offsets files, and the ranged reads made of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsspec_gp_plugin.errors import UsageError
from fsspec_gp_plugin.transfer.ranged_read import parse_offsets, plan_reads


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("1 3 10", [(3, 10)]),
        ("2 0 700000 900000 900001\n", [(0, 700000), (900000, 900001)]),
        ("0", []),
        ("2 5 5 5 9", [(5, 5), (5, 9)]),
    ],
)
def test_offsets_are_pairs_after_their_count(text: str, ranges: list[tuple[int, int]]) -> None:
    assert parse_offsets(text) == ranges


@pytest.mark.parametrize(
    "text", ["", "x", "1", "1 2", "1 2 3 4", "2 0 10", "1 10 2", "2 0 10 5 20", "1 -5 2", "1 0 1.5"]
)
def test_offsets_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="offsets file"):
        parse_offsets(text)


@given(
    gaps=st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 400_000)), max_size=30),
    largest=st.integers(1, 300_000).map(lambda n: n + 1000),
)
def test_fetches_cover_the_spans_and_nothing_twice(gaps: list[tuple[int, int]], largest: int) -> None:
    ranges, position = [], 0
    for gap, length in gaps:
        ranges.append((position + gap, position + gap + length))
        position += gap + length
    covered: list[tuple[int, int]] = []
    previous_end = 0
    for fetch in plan_reads(ranges, largest):
        assert 0 < fetch.end - fetch.start <= largest
        assert fetch.start >= previous_end
        previous_end = fetch.end
        assert fetch.ranges[0][0] == fetch.start
        assert fetch.ranges[-1][1] == fetch.end
        covered += fetch.ranges
    assert [b for start, end in covered for b in (start, end)] == sorted(b for pair in covered for b in pair)
    merged: list[list[int]] = []
    for start, end in covered:
        if merged and merged[-1][1] == start:
            merged[-1][1] = end
        else:
            merged.append([start, end])
    expected: list[list[int]] = []
    for start, end in ranges:
        if start == end:
            continue
        if expected and expected[-1][1] == start:
            expected[-1][1] = end
        else:
            expected.append([start, end])
    assert merged == expected
