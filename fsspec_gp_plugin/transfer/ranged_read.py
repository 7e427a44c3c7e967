"""One ranged read on its way from a store to a descriptor."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ..checksum import crc32c
from ..errors import StorageError
from .buffers import release_frames
from .spans import Fetch

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Iterator

    from ..storage.contract import ObjectInfo, Store


class RangedRead:
    """One ranged read: a worker thread fills its buffer, the main thread writes out what has arrived."""

    def __init__(
        self,
        store: Store,
        fetch: Fetch,
        buffer: mmap.mmap,
        *,
        wake: Callable[[], None],
        wait: Callable[[], None],
        checksum: bool,
    ) -> None:
        """`ring` wakes the main thread, `wait` is how it sleeps: until the next ring."""
        self._wake = wake
        self._wait_for_wake = wait
        self._store = store
        self._fetch = fetch
        self.buffer = buffer
        self._checksum = checksum
        self._info: ObjectInfo | None = None
        self._arrived = 0
        self._error: BaseException | None = None
        self.cancelled = False
        # Of the bytes that were passed on.
        self.crc = 0
        self.passed_on = 0

    def find(self, key: str) -> None:
        """Read the object's first bytes, as many as there are and fit."""
        with memoryview(self.buffer) as view:
            try:
                info, pieces = self._store.fetch(key, view)
                end = min(info.size, len(view))
                self._fetch = Fetch(0, end, ((0, end),))
                self._info = info
                self._wake()
                self._collect(pieces)
            except BaseException as error:  # noqa: BLE001 - kept for the main thread
                self._end_with(error)

    def read(self, info: ObjectInfo) -> None:
        """Read the range."""
        with memoryview(self.buffer) as whole, whole[: self._fetch.end - self._fetch.start] as view:
            try:
                self._collect(self._store.read(info, self._fetch.start, view))
            except BaseException as error:  # noqa: BLE001 - kept for the main thread
                self._end_with(error)

    def _collect(self, pieces: Iterator[int]) -> None:
        for count in pieces:
            if self.cancelled:
                return
            self._arrived += count
            self._wake()
        if self._arrived != self._fetch.end - self._fetch.start:
            raise StorageError(
                f"can't read the object: expected {self._fetch.end - self._fetch.start} bytes "
                f"at {self._fetch.start}, got {self._arrived}"
            )

    def _end_with(self, error: BaseException) -> None:
        release_frames(error)
        self._error = error
        if self.cancelled:
            self._error = None
        self._wake()

    def cancel(self) -> None:
        """Nobody wants the rest: what is still under way ends soon, and keeps nothing."""
        self.cancelled = True
        self._error = None  # its call knows this range, and so the buffer

    def wait_for_info(self) -> ObjectInfo:
        """What the request of find() told about the object."""
        while self._info is None:
            self._wait()
        return self._info

    def wanted(self) -> Iterator[memoryview]:
        """What is to be passed on of this range, as it arrives."""
        start, size = self._fetch.start, self._fetch.end - self._fetch.start
        spans = deque((begin - start, end - start) for begin, end in self._fetch.spans)
        with memoryview(self.buffer) as view:
            done = 0
            while done < size:
                while self._arrived == done:
                    self._wait()
                arrived = self._arrived
                while spans and spans[0][0] < arrived:
                    begin, end = max(spans[0][0], done), min(spans[0][1], arrived)
                    with view[begin:end] as piece:
                        if self._checksum:
                            self.crc = crc32c(piece, self.crc)
                        self.passed_on += len(piece)
                        yield piece
                    if spans[0][1] > arrived:
                        break
                    spans.popleft()
                done = arrived

    def _wait(self) -> None:
        """Until something has arrived. Raises what went wrong."""
        if self._error is not None:
            raise self._error
        self._wait_for_wake()
