"""Ranged reads of one object: which ranges to read, one read on its way, and whether its object is the expected one."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from ..checksum import crc32c
from ..errors import LocalFileError, StorageError, UsageError
from .buffers import release_frames

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..storage.contract import ObjectInfo, Store

# A gap of so many bytes is cheaper to read than a request: a connection to a cloud transfers them while a request waits
# for its first byte.
_LARGEST_GAP = 1 << 20


class PlannedRead(NamedTuple):
    """One ranged read, from `start` to before `end`, of which only `ranges` are written, in order."""

    start: int
    end: int
    ranges: tuple[tuple[int, int], ...]


def parse_offsets(text: str) -> list[tuple[int, int]]:
    """The ranges named by an offsets file, `N START1 END1 START2 END2 …`: bytes, end exclusive, ascending.

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
    ranges = list(zip(numbers[1::2], numbers[2::2], strict=True))
    previous = 0
    for start, end in ranges:
        if start < previous or end < start:
            raise UsageError(f"the offsets file's range {start}-{end} is out of order")
        previous = end
    return ranges


def plan_reads(ranges: Iterable[tuple[int, int]], largest: int) -> Iterator[PlannedRead]:
    """Ranged reads of at most `largest` bytes that cover the ranges; near ranges share a read.

    >>> list(plan_reads([(0, 10), (15, 20)], largest=8))
    [PlannedRead(start=0, end=8, ranges=((0, 8),)), PlannedRead(start=8, end=16, ranges=((8, 10), (15, 16))), \
PlannedRead(start=16, end=20, ranges=((16, 20),))]
    """
    group: list[tuple[int, int]] = []
    begin = 0
    for range_start, range_end in ranges:
        start = range_start
        while start < range_end:
            if group and (start - group[-1][1] > _LARGEST_GAP or start >= begin + largest):
                yield PlannedRead(begin, group[-1][1], tuple(group))
                group = []
            if not group:
                begin = start
            end = min(range_end, begin + largest)
            group.append((start, end))
            start = end
    if group:
        yield PlannedRead(begin, group[-1][1], tuple(group))


def require_size(info: ObjectInfo, expected: ObjectInfo | None) -> None:
    """Before the first byte is read: raises StorageError where the object is not the expected one."""
    if expected is None:
        return
    if info.size != expected.size:
        raise StorageError(f"{info.key} has {info.size} bytes; {expected.size} were backed up, says its manifest")
    if None not in (info.crc32c, expected.crc32c) and info.crc32c != expected.crc32c:
        raise StorageError(
            f"{info.key} has the checksum {info.crc32c:08x}, says the store, but {expected.crc32c:08x} was backed up, "
            "says its manifest"
        )


def require_crc(info: ObjectInfo, crc: int, expected: int | None) -> None:
    """Raises StorageError where the CRC-32C of the bytes that arrived is not the expected one, if there is one."""
    if expected is not None and expected != crc:
        raise StorageError(
            f"{info.key}: what arrived has the checksum {crc:08x}, what was stored {expected:08x}; "
            "the bytes were changed on their way or in the store"
        )


def require_within(key: str, size: int, ranges: Sequence[tuple[int, int]]) -> None:
    """Raises LocalFileError where ascending ranges reach beyond the end of an object of `size` bytes."""
    if ranges and ranges[-1][1] > size:
        raise LocalFileError(f"the offsets ask for byte {ranges[-1][1]} of {key}, which has {size}")


class RangedRead:
    """One ranged read: a thread fills its buffer, the main thread writes out the bytes that have arrived."""

    def __init__(
        self,
        store: Store,
        plan: PlannedRead,
        buffer: mmap.mmap,
        *,
        wake: Callable[[], None],
        wait: Callable[[], None],
        checksum: bool,
    ) -> None:
        """`wake` wakes the main thread; `wait` is how the main thread sleeps until then."""
        self._wake = wake
        self._sleep = wait
        self._store = store
        self._plan = plan
        self.buffer = buffer
        self._checksum = checksum
        self._info: ObjectInfo | None = None
        self._arrived = 0
        self._error: BaseException | None = None
        self.cancelled = False
        # The CRC-32C and the number of the bytes that pieces() has yielded.
        self.crc = 0
        self.size = 0

    def find(self, key: str) -> None:
        """Read the object's first bytes, as many as the buffer holds."""
        with memoryview(self.buffer) as view:
            try:
                info, pieces = self._store.fetch(key, view)
                end = min(info.size, len(view))
                self._plan = PlannedRead(0, end, ((0, end),))
                self._info = info
                self._wake()
                self._collect(pieces)
            except BaseException as error:  # noqa: BLE001 - kept for the main thread
                self._end_with(error)

    def read(self, info: ObjectInfo) -> None:
        """Read the range."""
        with memoryview(self.buffer) as whole, whole[: self._plan.end - self._plan.start] as view:
            try:
                self._collect(self._store.read(info, self._plan.start, view))
            except BaseException as error:  # noqa: BLE001 - kept for the main thread
                self._end_with(error)

    def _collect(self, pieces: Iterator[int]) -> None:
        for count in pieces:
            if self.cancelled:
                return
            self._arrived += count
            self._wake()
        if self._arrived != self._plan.end - self._plan.start:
            raise StorageError(
                f"can't read the object: expected {self._plan.end - self._plan.start} bytes "
                f"at {self._plan.start}, got {self._arrived}"
            )

    def _end_with(self, error: BaseException) -> None:
        release_frames(error)
        self._error = error
        if self.cancelled:
            self._error = None
        self._wake()

    def cancel(self) -> None:
        """End the read soon; it then keeps nothing in memory."""
        self.cancelled = True
        self._error = None  # its frames refer to the buffer

    def wait_for_info(self) -> ObjectInfo:
        """Wait for what the response to find() says about the object."""
        while self._info is None:
            self._wait()
        return self._info

    def pieces(self) -> Iterator[memoryview]:
        """The bytes of the planned ranges, as they arrive."""
        start, size = self._plan.start, self._plan.end - self._plan.start
        ranges = deque((begin - start, end - start) for begin, end in self._plan.ranges)
        with memoryview(self.buffer) as view:
            done = 0
            while done < size:
                while self._arrived == done:
                    self._wait()
                arrived = self._arrived
                while ranges and ranges[0][0] < arrived:
                    begin, end = max(ranges[0][0], done), min(ranges[0][1], arrived)
                    with view[begin:end] as piece:
                        if self._checksum:
                            self.crc = crc32c(piece, self.crc)
                        self.size += len(piece)
                        yield piece
                    if ranges[0][1] > arrived:
                        break
                    ranges.popleft()
                done = arrived

    def _wait(self) -> None:
        """Sleep until more bytes have arrived. Raises the error of the read."""
        if self._error is not None:
            raise self._error
        self._sleep()
