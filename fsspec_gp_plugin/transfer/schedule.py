"""Part number → part size: pure arithmetic. See docs/memory.md for what it costs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..storage.api import Capabilities

_MB = 1 << 20

# (how many parts, of which size) for a limit of 10,000 parts and streams up to 5 TiB. A part is held until it
# is acknowledged, so large parts cost memory, and at the least two are held: sizes stay at 64 MB to 120 GB of
# stream, at 256 MB to 1 TB. The counts add up to 10,000 and the bytes to just above 5 TiB.
_STEPS = ((400, 8 * _MB), (300, 16 * _MB), (200, 32 * _MB), (1600, 64 * _MB), (3300, 256 * _MB), (4200, 1024 * _MB))

BUFFER_BUDGET = 128 * _MB


class PartSchedule:
    """The sizes of one stream's parts and how many of them may be in memory.

    `first` is the size in bytes that is asked for; a store's limit on the number of parts makes later
    parts larger. `concurrency` is how many parts may fly at once while another is being filled.
    """

    def __init__(self, first: int, concurrency: int, capabilities: Capabilities) -> None:
        """The limits are those of the store's capabilities."""
        self._first = min(max(first, capabilities.min_part_size), capabilities.max_part_size)
        self._concurrency = concurrency if capabilities.parallel_parts else 1
        self._max_size = capabilities.max_part_size
        self._max_parts = capabilities.max_parts

    def size(self, number: int) -> int:
        """Bytes of part `number`, counted from 1; 0 when the store takes no such part."""
        if self._max_parts is None:
            return self._first
        if number > self._max_parts:
            return 0
        # The steps are made for 10,000 parts: another limit passes through them faster or slower.
        position = (number - 1) * 10_000 // self._max_parts
        reached = itertools.accumulate(count for count, _ in _STEPS)
        size = next(size for (_, size), end in zip(_STEPS, reached, strict=True) if position < end)
        return min(max(self._first, size), self._max_size)

    def buffers(self, number: int) -> int:
        """How many buffers of this part's size may exist: one being filled and at least one flying."""
        return min(self._concurrency + 1, max(2, BUFFER_BUDGET // self.size(number)))
