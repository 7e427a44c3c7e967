"""What to fetch of an object, and which bytes of it to pass on: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Bytes between two spans that are cheaper to read and drop than to ask for separately: what a connection to a cloud
# brings while a request waits for its first byte.
_WORTH_READING_OVER = 1 << 20


class Fetch(NamedTuple):
    """One ranged read, from `start` to before `end`, of which only `spans` are passed on, in order."""

    start: int
    end: int
    spans: tuple[tuple[int, int], ...]


def parse_offsets(text: str) -> list[tuple[int, int]]:
    """The spans in a file of offsets, `N START1 END1 START2 END2 …`: bytes, end exclusive, ascending.

    >>> parse_offsets("2 0 700000 900000 900001")
    [(0, 700000), (900000, 900001)]
    """
    words = text.split()
    try:
        numbers = [int(word) for word in words]
    except ValueError:
        raise UsageError("the offsets file holds something that is not a number") from None
    if not numbers or len(numbers) != 1 + 2 * numbers[0]:
        raise UsageError(
            f"the offsets file is not of the form `N START1 END1 …`: it announces {numbers[0] if numbers else 'no'} "
            f"ranges and holds {len(numbers) - 1 if numbers else 0} numbers for them"
        )
    spans = list(zip(numbers[1::2], numbers[2::2], strict=True))
    previous = 0
    for start, end in spans:
        if start < previous or end < start:
            raise UsageError(f"the offsets file's range {start}-{end} is out of order")
        previous = end
    return spans


def fetches(spans: Iterable[tuple[int, int]], largest: int) -> Iterator[Fetch]:
    """Ranged reads of at most `largest` bytes that cover the spans; near neighbours share one.

    >>> list(fetches([(0, 10), (15, 20)], largest=8))
    [Fetch(start=0, end=8, spans=((0, 8),)), Fetch(start=8, end=16, spans=((8, 10), (15, 16))), \
Fetch(start=16, end=20, spans=((16, 20),))]
    """
    group: list[tuple[int, int]] = []
    begin = 0
    for span_start, span_end in spans:
        start = span_start
        while start < span_end:
            if group and (start - group[-1][1] > _WORTH_READING_OVER or start >= begin + largest):
                yield Fetch(begin, group[-1][1], tuple(group))
                group = []
            if not group:
                begin = start
            end = min(span_end, begin + largest)
            group.append((start, end))
            start = end
    if group:
        yield Fetch(begin, group[-1][1], tuple(group))
