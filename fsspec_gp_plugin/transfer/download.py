"""One download: ranges of an object, several in flight, written to a descriptor in order and never past a gap.

The bytes of the first range are written as they arrive; later ranges wait in their buffers: at most
part_sizes.BUFFER_BUDGET bytes of them, or what `memory_limit` allows.
"""

from __future__ import annotations

import select
from collections import deque
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ..checksum import combined
from ..errors import ReaderGone
from ..workers import Workers
from .buffers import Buffers, Memory
from .descriptor_io import Wakeup, pause, widen_pipe, write_all
from .file_copying import TAIL, FileCopying
from .part_sizes import BUFFER_BUDGET
from .ranged_read import PlannedRead, RangedRead, plan_reads, require_crc, require_size, require_within
from .throttle import Throttle

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..age.opening import Opening
    from ..storage.contract import FileStore, ObjectInfo, Store
    from .chunks import Transform
    from .descriptor_io import Alarm

    _Ranges = Sequence[tuple[int, int]]

_T = TypeVar("_T")
_LARGEST_READ = 32 << 20
# Ranges that may have arrived while the first one is still arriving, so that no connection is idle.
_AHEAD = 2


class DownloadSettings(NamedTuple):
    """`read_size`: bytes of one ranged read; `concurrency`: how many of them in flight; `memory_limit`: bytes of
    buffers; `max_bandwidth`: bytes a second, or None; `checksum`: compute the CRC-32C and compare it.
    """

    read_size: int = 8 << 20
    concurrency: int = 4
    memory_limit: int = BUFFER_BUDGET
    max_bandwidth: int | None = None
    checksum: bool = True


class Downloaded(NamedTuple):
    """How many bytes were written, and their CRC-32C where it was computed."""

    size: int
    crc32c: int | None


class Download:
    """One object on its way to a descriptor, the whole of it or ranges."""

    def __init__(
        self,
        store: Store,
        sink: int,
        settings: DownloadSettings,
        *,
        opening: Opening | None = None,
        alarm: Alarm | None = None,
        memory: Memory | None = None,
        on_first_byte: Callable[[], None] = lambda: None,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Sends no request yet. `opening`: how an encrypted object is opened; without it the stored bytes are written
        as they are. `alarm` ends the download where no signal does; `memory` is shared with other streams;
        `on_first_byte` is called just before the first bytes are written; `log` gets a line of text about what makes
        the download slow.
        """
        self._opening = opening
        self._alarm = alarm
        self._on_first_byte = on_first_byte
        self._store = store
        self._sink = sink
        self._read_size = min(settings.read_size, _LARGEST_READ, settings.memory_limit)
        buffers = max(1, settings.memory_limit // self._read_size)
        self._concurrency = min(settings.concurrency, buffers) if store.capabilities.parallel_reads else 1
        self._window = min(self._concurrency + _AHEAD, buffers)
        self._throttle = Throttle(settings.max_bandwidth, sleep=partial(pause, alarm=alarm))
        self._buffers = Buffers(self._wait, lambda: None, memory, log)
        self._reads: deque[RangedRead] = deque()
        self._opener: Transform | None = None
        self._taken = self._written = 0
        self._crc: int | None = 0 if settings.checksum else None
        # From this byte on nothing is written before the checksum has been compared.
        self._held_from: int | None = None
        self._tail = b""

    def write_whole(self, key: str, expected: ObjectInfo | None = None) -> Downloaded:
        """Write all of the object. The request that finds it also brings its first bytes.

        Its size and checksum are compared with what is `expected`, and with what the store keeps. Its last bytes are
        held back until then: the reader of a pipe does not see our exit status, but sees that the end is missing.
        """
        if (files := self._store.files) is not None:
            info = self._store.stat(key)
            require_size(info, expected)
            return self._copy_from_file(files, info, expected=expected)
        if self._opening is not None:
            from .chunks import ChunkOpener

            self._opener = ChunkOpener(key, self._opening)
        with self._session() as pool:
            buffer = self._buffers.take(self._read_size, self._window)
            first = self._new_read(PlannedRead(0, self._read_size, ((0, self._read_size),)), buffer)
            self._reads.append(first)
            pool.submit(first.find, key)
            info = first.wait_for_info()
            require_size(info, expected)
            if self._crc is not None:
                self._held_from = max(0, info.size - TAIL)
            if info.size > self._read_size:
                widen_pipe(self._sink)
            self._run(pool, info, [(self._read_size, info.size)])
            if self._crc is not None:
                crc = expected.crc32c if expected else None
                # The manifest decides; only without one the store's checksum counts, which may take a request.
                require_crc(
                    info, self._crc, self._request(pool, partial(self._store.crc32c, info)) if crc is None else crc
                )
                self._take(memoryview(self._tail))
            if self._opener is not None:
                for plain in self._opener.finish():
                    self._write(plain)
        return Downloaded(self._written, self._crc)

    def write_ranges(self, key: str, ranges: _Ranges, expected: ObjectInfo | None = None) -> Downloaded:
        """Write only those ascending ranges of the object. Raises LocalFileError where they reach beyond its end. Of
        what is `expected` only the size is compared, and the checksum that the store reports.
        """
        self._crc = None  # there is nothing to compare it with
        if (files := self._store.files) is not None:
            info = self._store.stat(key)
            require_size(info, expected)
            return self._copy_from_file(files, info, ranges)
        with self._session() as pool:
            if self._opening is None:
                info, start = self._request(pool, partial(self._store.stat, key)), b""
            else:
                from .sealed_ranges import fetch_header

                info, start = self._request(pool, partial(fetch_header, self._store, key))
            require_size(info, expected)
            self._run(pool, info, self._plan_ranges(info, start, ranges))
        return Downloaded(self._written, None)

    def _plan_ranges(self, info: ObjectInfo, start: bytes, ranges: _Ranges) -> _Ranges:
        """The stored ranges to read. `start`: the object's first bytes if it may be encrypted."""
        if self._opening is not None:
            from .chunks import is_sealed
            from .sealed_ranges import SealedRanges

            if is_sealed(info.key, start, self._opening):
                self._opener = sealed = SealedRanges.plan(info, start, ranges, self._opening)
                return sealed.stored_ranges()
        require_within(info.key, info.size, ranges)
        return ranges

    def _request(self, pool: Workers, request: Callable[[], _T]) -> _T:
        """The response to a small request. A reader of our output that goes away meanwhile ends the wait."""
        future = pool.submit(request)
        future.add_done_callback(self._wakeup.wake)
        while not future.done():
            self._wait()
        return future.result()

    def _copy_from_file(
        self, store: FileStore, info: ObjectInfo, ranges: _Ranges | None = None, expected: ObjectInfo | None = None
    ) -> Downloaded:
        check = self._alarm.check if self._alarm is not None else lambda: None
        copying = FileCopying(self._throttle, self._crc is not None, check, self._alarm, self._on_first_byte)
        return Downloaded(*copying.from_file(store, info, self._sink, ranges, expected, self._opening))

    @contextmanager
    def _session(self) -> Iterator[Workers]:
        """Threads for ranged reads. At the end nobody waits for them: one may wait for a store that hangs."""
        pool = Workers(self._concurrency)
        try:
            with Wakeup(self._alarm) as self._wakeup:
                self._poller = self._wakeup.watch(self._sink, 0)
                yield pool
        finally:
            for read in self._reads:
                read.cancel()
            self._reads.clear()
            pool.shutdown(wait=False, cancel_futures=True)
            self._buffers.close()

    def _run(self, pool: Workers, info: ObjectInfo, ranges: Iterable[tuple[int, int]]) -> None:
        for plan in plan_reads(ranges, self._read_size):
            while (buffer := self._buffers.take_now(self._read_size, self._window)) is None:
                self._write_head()
            read = self._new_read(plan, buffer)
            self._reads.append(read)
            pool.submit(read.read, info)
        while self._reads:
            self._write_head()

    def _new_read(self, plan: PlannedRead, buffer: mmap.mmap) -> RangedRead:
        return RangedRead(
            self._store, plan, buffer, wake=self._wakeup.wake, wait=self._wait, checksum=self._crc is not None
        )

    def _write_head(self) -> None:
        read = self._reads[0]
        for arrived in read.pieces():
            piece = arrived
            if self._held_from is not None and self._taken + len(arrived) > self._held_from:
                cut = max(0, self._held_from - self._taken)
                piece, self._tail = arrived[:cut], self._tail + bytes(arrived[cut:])
            start = 0
            while start < len(piece):
                if self._alarm is not None:
                    self._alarm.check()
                count = self._throttle.allow(len(piece) - start)
                self._take(piece[start : start + count])
                self._throttle.count(count)
                start += count
        if self._crc is not None:
            self._crc = combined(self._crc, read.crc, read.size)
        self._reads.popleft()
        self._buffers.release(read.buffer)

    def _take(self, data: memoryview) -> None:
        """Take the next stored bytes, and write what they are."""
        self._taken += len(data)
        if self._opener is None:
            self._write(data)
            return
        for plain in self._opener.feed(data):
            self._write(plain)

    def _write(self, data: memoryview) -> None:
        if data and not self._written:
            self._on_first_byte()
        write_all(self._sink, data, alarm=self._alarm)
        self._written += len(data)

    def _wait(self) -> None:
        """Sleep until bytes have arrived. Raises ReaderGone when the reader of the sink has closed it."""
        # No events of the sink are requested: POLLERR and POLLHUP are always reported.
        if self._wakeup.sleep(self._poller).get(self._sink, 0) & (select.POLLERR | select.POLLHUP):
            raise ReaderGone
