"""Ranges of an object, several in ranged_read, written to a descriptor in order and never past a gap.

Each range's bytes are handed over as they arrive, so the first goes out at once; ranges behind the head
wait in their buffers: at most schedule.BUFFER_BUDGET of them, or what `memory_limit` allows.
"""

from __future__ import annotations

import os
import select
from collections import deque
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ..checksum import combined, crc32c
from ..errors import ReaderGone, StorageError
from ..workers import Workers
from .buffers import Buffers, Memory
from .descriptor_copy import DescriptorCopy
from .descriptor_io import Wakeup, output_failed, pause, widen_pipe, write_all
from .part_sizes import BUFFER_BUDGET
from .ranged_read import RangedRead
from .spans import Fetch, fetches
from .throttle import Throttle
from .wanted import require_crc, require_size, require_within

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..storage.contract import FileStore, ObjectInfo, Store
    from .descriptor_io import Alarm

_T = TypeVar("_T")
_LARGEST_READ = 32 << 20
# Ranges that are there already while the head is still arriving, so that no connection waits for its turn.
_AHEAD = 2
# Held back until the checksum is known to be right.
_TAIL = 4096


class DownloadSettings(NamedTuple):
    """`read_size`: bytes of one ranged read; `concurrency`: how many of them in ranged_read; `memory_limit`: bytes of
    buffers; `max_bandwidth`: bytes a second, or None; `checksum`: compute the CRC-32C and compare it.
    """

    read_size: int = 8 << 20
    concurrency: int = 4
    memory_limit: int = BUFFER_BUDGET
    max_bandwidth: int | None = None
    checksum: bool = True


class Downloaded(NamedTuple):
    """What was written: bytes, and the CRC-32C of them where it was computed."""

    size: int
    crc32c: int | None


class Download:
    """One object on its way to a descriptor, whole or in spans."""

    def __init__(
        self,
        store: Store,
        sink: int,
        settings: DownloadSettings,
        *,
        alarm: Alarm | None = None,
        memory: Memory | None = None,
        on_first_byte: Callable[[], None] = lambda: None,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Touches nothing yet. `alarm` ends it where no signal does; `memory` is what it shares with other streams;
        `on_first_byte` is called just before the first bytes are written; `log` is told what makes it slow.
        """
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
        self._written = 0
        self._crc: int | None = 0 if settings.checksum else None
        # From this byte on nothing is written before all is compared.
        self._held_from: int | None = None
        self._tail = b""

    def write_whole(self, key: str, expected: ObjectInfo | None = None) -> Downloaded:
        """Write all of the object. The request that finds it brings its first bytes.

        Its size and checksum are compared with what is `expected`, and with what the store keeps. Its last bytes are
        held back until then: in a pipe nobody sees our exit status, but all see that the end is missing.
        """
        if (files := self._store.files) is not None:
            info = self._store.stat(key)
            require_size(info, expected)
            return self._by_descriptor(files, info, None, expected)
        with self._session() as pool:
            buffer = self._buffers.take(self._read_size, self._window)
            first = self._new_read(Fetch(0, self._read_size, ((0, self._read_size),)), buffer)
            self._reads.append(first)
            pool.submit(first.find, key)
            info = first.wait_for_info()
            require_size(info, expected)
            if self._crc is not None:
                self._held_from = max(0, info.size - _TAIL)
            if info.size > self._read_size:
                widen_pipe(self._sink)
            self._run(pool, info, [(self._read_size, info.size)])
            if self._crc is not None:
                known = expected.crc32c if expected else None
                # What equals the manifest is right, whatever the store says of it, which may take a request.
                crc = self._wait_for(pool, lambda: self._store.crc32c(info)) if known is None else known
                require_crc(info, self._crc, crc)
                self._write(memoryview(self._tail))
        return Downloaded(self._written, self._crc)

    def write_ranges(
        self, key: str, spans: Sequence[tuple[int, int]], expected: ObjectInfo | None = None
    ) -> Downloaded:
        """Write only those spans of the object, ascending; LocalFileError where they reach beyond its end. Of what is
        `expected` only the size can be compared, and the checksum where the store tells one.
        """
        self._crc = None  # there is nothing to compare it with
        if (files := self._store.files) is not None:
            info = self._store.stat(key)
            require_size(info, expected)
            require_within(info, spans)
            return self._by_descriptor(files, info, spans)
        with self._session() as pool:
            info = self._wait_for(pool, lambda: self._store.stat(key))
            require_size(info, expected)
            require_within(info, spans)
            self._run(pool, info, spans)
        return Downloaded(self._written, None)

    def _wait_for(self, pool: Workers, request: Callable[[], _T]) -> _T:
        """A small request's answer, awaited like the bytes: a reader that goes meanwhile ends it."""
        future = pool.submit(request)
        future.add_done_callback(self._wakeup.wake)
        while not future.done():
            self._wait()
        return future.result()

    def _by_descriptor(
        self,
        store: FileStore,
        info: ObjectInfo,
        spans: Iterable[tuple[int, int]] | None,
        expected: ObjectInfo | None = None,
    ) -> Downloaded:
        """Where the object is a file no worker is needed: the system reads ahead."""
        widen_pipe(self._sink)

        def reading(error: OSError) -> Exception:
            return StorageError(f"can't read {info.key}: {error.strerror}")

        copying = DescriptorCopy(
            self._throttle,
            checksum=self._crc is not None,
            reading=reading,
            writing=output_failed,
            check=self._alarm.check if self._alarm is not None else lambda: None,
            alarm=self._alarm,
            on_first_byte=self._on_first_byte,
        )
        file = store.open_file(info)
        try:
            held = min(info.size, _TAIL) if expected is not None and spans is None else 0
            for start, end in [(0, info.size - held)] if spans is None else spans:
                os.lseek(file, start, os.SEEK_SET)
                copying.run(file, self._sink, end - start)
            tail = os.pread(file, held, info.size - held)
        except OSError as error:
            raise reading(error) from error
        finally:
            os.close(file)
        if len(tail) < held:
            raise StorageError(f"can't read {info.key}: it ends {held - len(tail)} bytes early")
        crc = copying.crc32c
        if crc is not None and expected is not None:
            crc = crc32c(tail, crc)
            require_crc(info, crc, expected.crc32c)
            if tail and not copying.size:
                self._on_first_byte()
            write_all(self._sink, memoryview(tail), alarm=self._alarm)
        return Downloaded(copying.size + held, crc)

    @contextmanager
    def _session(self) -> Iterator[Workers]:
        """Threads for ranged reads. On the way out they are left alone: one may wait for a store that hangs."""
        pool = Workers(self._concurrency)
        try:
            with Wakeup(self._alarm) as self._wakeup:
                self._poller = self._wakeup.watch(self._sink, 0)
                yield pool
        finally:
            for ranged_read in self._reads:
                ranged_read.cancel()
            self._reads.clear()
            pool.shutdown(wait=False, cancel_futures=True)
            self._buffers.close()

    def _run(self, pool: Workers, info: ObjectInfo, spans: Iterable[tuple[int, int]]) -> None:
        for fetch in fetches(spans, self._read_size):
            while (buffer := self._buffers.take_now(self._read_size, self._window)) is None:
                self._write_head()
            ranged_read = self._new_read(fetch, buffer)
            self._reads.append(ranged_read)
            pool.submit(ranged_read.read, info)
        while self._reads:
            self._write_head()

    def _new_read(self, fetch: Fetch, buffer: mmap.mmap) -> RangedRead:
        return RangedRead(
            self._store, fetch, buffer, wake=self._wakeup.wake, wait=self._wait, checksum=self._crc is not None
        )

    def _write_head(self) -> None:
        ranged_read = self._reads[0]
        for whole in ranged_read.wanted():
            piece = whole
            if self._held_from is not None and self._written + len(whole) > self._held_from:
                cut = max(0, self._held_from - self._written)
                piece, self._tail = whole[:cut], self._tail + bytes(whole[cut:])
            at = 0
            while at < len(piece):
                if self._alarm is not None:
                    self._alarm.check()
                count = self._throttle.allow(len(piece) - at)
                self._write(piece[at : at + count])
                self._throttle.count(count)
                at += count
        if self._crc is not None:
            self._crc = combined(self._crc, ranged_read.crc, ranged_read.passed_on)
        self._reads.popleft()
        self._buffers.release(ranged_read.buffer)

    def _write(self, data: memoryview) -> None:
        if data and not self._written:
            self._on_first_byte()
        write_all(self._sink, data, alarm=self._alarm)
        self._written += len(data)

    def _wait(self) -> None:
        """Until something has arrived; ReaderGone when the sink's reader has closed it."""
        # Of the sink only its end is awaited: POLLERR and POLLHUP are reported unasked.
        if self._wakeup.sleep(self._poller).get(self._sink, 0) & (select.POLLERR | select.POLLHUP):
            raise ReaderGone
