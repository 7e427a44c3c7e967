"""Ranges of an object, several in flight, written to a descriptor in order and never past a gap.

Each range's bytes are handed over as they arrive, so the first goes out at once; ranges behind the head
wait in memory: at most concurrency × read size, cut to what schedule.BUFFER_BUDGET allows.
"""

from __future__ import annotations

import select
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ReaderGone, StorageError
from .pump import Bell, widen_pipe, write_all
from .schedule import BUFFER_BUDGET
from .spans import Fetch, fetches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..storage.api import ObjectInfo, Store


_LARGEST_READ = 32 << 20


@dataclass(frozen=True)
class DownloadSettings:
    """`read_size`: bytes of one ranged read; `concurrency`: how many of them in flight."""

    read_size: int = 8 << 20
    concurrency: int = 4


def download(
    store: Store,
    info: ObjectInfo,
    sink: int,
    settings: DownloadSettings,
    spans: Iterable[tuple[int, int]] | None = None,
) -> int:
    """Write the object, or only the spans of it, to descriptor `sink`; returns the bytes written.

    Raises ReaderGone as soon as the sink's reader has closed it, also while nothing is being written.
    """
    spans = [(0, info.size)] if spans is None else spans
    read_size = min(settings.read_size, _LARGEST_READ)
    concurrency = min(settings.concurrency, BUFFER_BUDGET // read_size) if store.capabilities.parallel_reads else 1
    if info.size > read_size:
        widen_pipe(sink)
    written = 0
    with Bell() as bell:
        pool = ThreadPoolExecutor(max_workers=concurrency)
        flying: deque[_Flight] = deque()
        try:
            for fetch in fetches(spans, read_size):
                flying.append(_Flight(store, info, fetch, bell))
                pool.submit(flying[-1].run)
                if len(flying) == concurrency:
                    written += flying.popleft().write_to(sink)
            while flying:
                written += flying.popleft().write_to(sink)
        finally:
            for flight in flying:
                flight.cancelled = True
            pool.shutdown(wait=False, cancel_futures=True)
    return written


class _Flight:
    """One ranged read: a worker thread collects its pieces, the main thread writes them out."""

    def __init__(self, store: Store, info: ObjectInfo, fetch: Fetch, bell: Bell) -> None:
        self._store = store
        self._info = info
        self._fetch = fetch
        self._bell = bell
        self._pieces: deque[bytes | memoryview | BaseException | None] = deque()
        self.cancelled = False

    def run(self) -> None:
        end: BaseException | None = None
        try:
            position = self._fetch.start
            for piece in self._store.read(self._info, self._fetch.start, self._fetch.end):
                if self.cancelled:
                    return
                position += len(piece)
                self._pieces.append(piece)
                self._bell.ring()
            if position != self._fetch.end:
                raise StorageError(
                    f"can't read {self._info.key}: expected {self._fetch.end - self._fetch.start} bytes "
                    f"at {self._fetch.start}, got {position - self._fetch.start}"
                )
        except BaseException as error:  # noqa: BLE001 - kept for the main thread
            end = error
        self._pieces.append(end)
        self._bell.ring()

    def write_to(self, sink: int) -> int:
        """Write what is wanted of this range as it arrives; returns the bytes written."""
        written = 0
        position = self._fetch.start
        wanted = deque(self._fetch.spans)
        for piece in self._arriving(sink):
            view = memoryview(piece)
            while wanted and wanted[0][0] < position + len(view):
                start, end = wanted[0]
                part = view[max(start - position, 0) : end - position]
                write_all(sink, part)
                written += len(part)
                if end > position + len(view):
                    break
                wanted.popleft()
            position += len(view)
        return written

    def _arriving(self, sink: int) -> Iterator[bytes | memoryview]:
        # Of the sink only its end is awaited: POLLERR and POLLHUP are reported unasked.
        poller = self._bell.watch(sink, 0)
        while True:
            while not self._pieces:
                for fd, events in poller.poll():
                    if fd == sink and events & (select.POLLERR | select.POLLHUP):
                        raise ReaderGone
                self._bell.quiet()
            piece = self._pieces.popleft()
            if piece is None:
                return
            if isinstance(piece, BaseException):
                raise piece
            yield piece
