"""Part number → part size: pure arithmetic. See docs/memory.md for what it costs.

A part is held until it is acknowledged, so large parts cost memory, and at the least two are held. Growth is
therefore spent late: the sizes stay small as long as the parts that are left can still reach the target.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

from ..config.values import format_size

if TYPE_CHECKING:
    from ..storage.contract import Capabilities

_KB, _MB, _GB = 1 << 10, 1 << 20, 1 << 30
# Google's sessions want multiples of it.
_UNIT = 256 * _KB

# (how many parts, bytes of each).
_Steps = list[tuple[int, int]]

# For a limit of 10,000 parts: sizes stay at 64 MB to 120 GB of stream, at 256 MB to 1 TB; then _AT_LAST parts
# of 1 GB reach _TARGET, just above 5 TiB.
_EARLY: _Steps = [(400, 8 * _MB), (300, 16 * _MB), (200, 32 * _MB), (1600, 64 * _MB), (3300, 256 * _MB)]
_AT_LAST = 4200
_MADE_FOR = 10_000
_PROMISED = 5 << 40

BUFFER_BUDGET = 128 * _MB


class PartSchedule:
    """The sizes of one stream's parts and how many of them may be in memory.

    `first` is the size in bytes that is configured; a limit on the number of parts makes later parts larger.
    `concurrency` is how many parts may fly at once while another is being filled.
    """

    def __init__(
        self,
        first: int,
        concurrency: int,
        capabilities: Capabilities,
        *,
        memory_limit: int = BUFFER_BUDGET,
        fixed: bool = False,
        max_parts: int | None = None,
    ) -> None:
        """`memory_limit` is the bytes of all buffers together, kept as far as the limit on parts allows.

        `fixed`: every part has the first size. `max_parts` replaces the store's limit.
        """
        self._first = min(max(first, capabilities.min_part_size), capabilities.max_part_size)
        self._concurrency = concurrency if capabilities.parallel_parts else 1
        self._smallest, self._largest = capabilities.min_part_size, capabilities.max_part_size
        self._memory_limit = memory_limit
        self._fixed = fixed
        self._asked_parts = max_parts
        self._limit = capabilities.max_parts if max_parts is None else max_parts
        self._table = [] if self._limit is None else self._steps(self._limit)
        self._ends = list(accumulate(count for count, _ in self._table))
        # Bytes of the longest stream that fits; None without a limit.
        self.capacity = None if self._limit is None else _total(self._table)

    def _steps(self, limit: int) -> _Steps:
        if self._fixed:
            return [(limit, self._first)]
        early = _early(limit)
        # A smaller first size than the table's holds for as many parts; a larger one until the table passes it.
        early[0] = (early[0][0], min(early[0][1], self._first))
        late = _late(limit, early)
        if self._memory_limit < BUFFER_BUDGET:
            # Two of these fit.
            half = self._memory_limit // 2 // _UNIT * _UNIT
            early = _held_at(max(half, self._first), early)
        return [(count, min(max(size, self._first), self._largest)) for count, size in early + late]

    def size(self, number: int) -> int:
        """Bytes of part `number`, counted from 1; 0 when there is no such part. Never falls until then."""
        if self._limit is None:
            return self._first
        step = bisect_left(self._ends, number)
        return self._table[step][1] if step < len(self._table) else 0

    def carried_size(self, number: int, start: int, carries: int | None) -> int:
        """Bytes of part `number`, which begins at byte `start`, where connections carry so many bytes, or None: any.

        Never so few that the parts after it, in their own sizes, could not hold what they should.
        """
        size = self.size(number)
        if self._fixed or carries is None or carries >= size:
            return size
        fewest = max(self._smallest, _UNIT)
        if self.capacity is not None:
            after = sum(
                min(count, max(0, end - number)) * each
                for end, (count, each) in zip(self._ends, self._table, strict=True)
            )
            fewest = max(fewest, min(self.capacity, _PROMISED) - start - after)
        return min(size, max(fewest, carries // _UNIT * _UNIT))

    def buffers(self, number: int) -> int:
        """How many buffers of this part's size may exist: one being filled and at least one flying.

        0 when there is no such part. Never rises with the number.
        """
        size = self.size(number)
        return min(self._concurrency + 1, max(2, self._memory_limit // size)) if size else 0

    @property
    def advice(self) -> str:
        """What to set for a stream that is longer than `capacity`: the end of a sentence, empty without a limit."""
        if self._limit is None or self.capacity is None:
            return ""
        helps = []
        if self._first < self._largest:
            which = "a backup_multipart_chunksize of" if self._fixed else "a larger backup_multipart_chunksize,"
            helps.append(f"{which} at least 1/{self._limit:,} of the stream")
            enough = -(-_PROMISED // (self._limit * _MB))
            if self.capacity < _PROMISED and enough * _MB <= self._largest:
                helps[0] += f" ({enough}MB holds 5 TB)"
        if self._asked_parts is not None:
            helps.append("a larger max_parts if the store takes more")
        if not helps:
            return f"no setting helps: the store takes no part above {format_size(self._largest)}"
        return f"set {', or '.join(helps)}"


def _total(steps: _Steps) -> int:
    return sum(count * size for count, size in steps)


_TARGET = _total(_EARLY) + _AT_LAST * _GB


def _hold(size: int, then: int, parts: int, to: int) -> int:
    """How many of `parts` may have `size` bytes, if the rest of them have `then` and all hold `to` bytes."""
    return max(0, (parts * then - to) // (then - size))


def _early(limit: int) -> _Steps:
    """The steps up to 256 MB."""
    if limit <= _MADE_FOR:
        # The same shares of fewer parts. Rounded up, so that the first part has always the first size.
        ends = [-(-end * limit // _MADE_FOR) for end in accumulate(count for count, _ in _EARLY)]
        return [(end - start, size) for start, end, (_, size) in zip([0, *ends], ends, _EARLY, strict=False)]
    small = _EARLY[:3]
    left = limit - sum(count for count, _ in small)
    # 64 MB for as long as 256 MB can be where the table is before its last step, and 1 GB at the target.
    middle = _hold(64 * _MB, 256 * _MB, left - _AT_LAST, _total(_EARLY) - _total(small))
    middle = min(middle, _hold(64 * _MB, _GB, left, _TARGET - _total(small)), left)
    missing = max(0, _total(_EARLY) - _total(small) - middle * 64 * _MB)
    return [*small, (middle, 64 * _MB), (-(-missing // (256 * _MB)), 256 * _MB)]


def _late(limit: int, early: _Steps) -> _Steps:
    """The steps from 1 GB on. Fewer than 10,000 parts need larger ones: 2, 4 and 5 GB, each for as many parts."""
    left = limit - sum(count for count, _ in early)
    if limit >= _MADE_FOR:
        return [(left, _GB)]
    # A quarter each is as far as it goes: more of the largest would cost 10 GB of buffers for most of the stream.
    one = max(left // 4, _hold(_GB, 11 * _GB // 3, left, _TARGET - _total(early)))
    two = (left - one) // 3
    four = (left - one - two) // 2
    return [(one, _GB), (two, 2 * _GB), (four, 4 * _GB), (left - one - two - four, 5 * _GB)]


def _held_at(most: int, steps: _Steps) -> _Steps:
    """Steps that stay at `most` bytes for as long as 1 GB parts can catch up with the steps given."""
    kept = [(count, size) for count, size in steps if size <= most]
    parts = sum(count for count, _ in steps[len(kept) :])
    if not parts:
        return steps
    held = _hold(most, _GB, parts, _total(steps[len(kept) :]))
    return [*kept, (held, most), (parts - held, _GB)]
