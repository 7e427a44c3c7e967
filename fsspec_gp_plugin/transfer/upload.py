"""A stream becomes an object: parts are read into reused buffers and sent several at a time.

The main thread reads and waits; whatever touches the network runs in other threads. So a signal, which
Python delivers to the main thread, stops the reading at once and never tears a request apart.
Memory: schedule.buffers() × part size.
"""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as NotDone
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import Interrupted, StorageError
from .pump import Bell, Buffers, Source, widen_pipe
from .schedule import PartSchedule

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable

    from ..storage.api import ObjectInfo, PartWriter, Store

# After a signal the process has two seconds; a request that makes the object visible may use this much
# of them to tell how it ended, and taking back an upload this much.
_SETTLE_SECONDS = 0.7
_ABORT_AFTER_SIGNAL_SECONDS = 0.9
_ABORT_SECONDS = 30.0


@dataclass(frozen=True)
class UploadSettings:
    """`part_size`: bytes of the first parts; `concurrency`: parts in flight."""

    part_size: int = 8 << 20
    concurrency: int = 4


class Upload:
    """One stream on its way into a store. run() does it all; abort() may come from any thread."""

    def __init__(self, store: Store, key: str, settings: UploadSettings, note: Callable[[str], None]) -> None:
        """`note` is told what could not be cleaned up after a failure."""
        self._store = store
        self._key = key
        self._note = note
        self._schedule = PartSchedule(settings.part_size, settings.concurrency, store.capabilities)
        self._error: BaseException | None = None
        self._buffers = Buffers(self._raise_error)
        self._writer: PartWriter | None = None
        self._visible: ObjectInfo | None = None

    def run(self, source: int) -> ObjectInfo:
        """Send everything that descriptor `source` yields as one object; returns what the store holds.

        On any error, and on a signal, the upload is aborted and the error raised: no object becomes
        visible and nothing is left behind.
        """
        # One thread a part in flight; they start when there is work.
        pool = ThreadPoolExecutor(max_workers=max(1, self._schedule.buffers(1) - 1))
        try:
            with Bell() as self._bell:
                return self._run(source, pool)
        except BaseException as error:
            if isinstance(error, Interrupted) and self._visible is not None:
                return self._visible  # too late: it is whole and visible
            self.abort(error)
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, source: int, pool: ThreadPoolExecutor) -> ObjectInfo:
        stream = Source(source, self._bell, self._raise_error)
        buffer = self._take(1)
        filled = stream.fill(memoryview(buffer))
        following, more = None, 0
        if filled == len(buffer):
            widen_pipe(source)
            # One look ahead: a stream that ends with its first part is still a small object.
            following = self._take(2)
            more = stream.read(memoryview(following))
        if not more and self._store.capabilities.single_request_put:
            data = memoryview(buffer)[:filled]
            return _settled(pool.submit(self._make_visible, lambda: self._store.put(self._key, data)))
        self._writer = writer = self._store.begin(self._key)
        sending: list[Future[None]] = []
        number = total = 0
        while filled:
            number += 1
            total += filled
            sending = [future for future in sending if not future.done()]
            sending.append(pool.submit(self._send, writer, number, buffer, filled))
            if filled < len(buffer):
                break
            buffer = self._take(number + 1) if following is None else following
            filled = stream.fill(memoryview(buffer), more)
            following, more = None, 0
        while sending:
            self._raise_error()
            sending = list(wait(sending, return_when=FIRST_COMPLETED).not_done)
        self._raise_error()
        return _settled(pool.submit(self._make_visible, lambda: writer.complete(total)))

    def _make_visible(self, request: Callable[[], ObjectInfo]) -> ObjectInfo:
        self._visible = request()
        return self._visible

    def _take(self, number: int) -> mmap.mmap:
        size = self._schedule.size(number)
        if size == 0:
            raise StorageError(
                f"{self._key}: the stream is longer than {number - 1:,} parts, the most the store takes, can hold; "
                "set a larger backup_multipart_chunksize"
            )
        return self._buffers.take(size, self._schedule.buffers(number))

    def _send(self, writer: PartWriter, number: int, buffer: mmap.mmap, filled: int) -> None:
        try:
            self._raise_error()
            with memoryview(buffer) as whole, whole[:filled] as data:
                writer.write(number, data)
        except BaseException as error:  # noqa: BLE001 - kept for the main thread
            self._error = self._error or error
            self._bell.ring()
        finally:
            self._buffers.give_back(buffer)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def abort(self, error: BaseException) -> None:
        """Take the upload back, within a bounded time: an unreachable store must not keep us from failing."""
        self._error = self._error or error  # parts that wait for a thread need not start
        self._buffers.wake()
        writer = self._writer
        if writer is None:
            return
        failure: list[str] = ["the store did not answer in time"]
        # Not Thread.join(): one that a signal interrupts takes the thread for ended, before Python 3.13.
        ended = threading.Event()

        def work() -> None:
            try:
                writer.abort()
                failure.clear()
            except Exception as problem:  # noqa: BLE001 - told below
                failure[:] = [str(problem)]
            finally:
                ended.set()

        threading.Thread(target=work, daemon=True).start()
        interrupted = None
        try:
            ended.wait(_ABORT_AFTER_SIGNAL_SECONDS if isinstance(error, Interrupted) else _ABORT_SECONDS)
        except Interrupted as signalled:
            interrupted = signalled
            ended.wait(_ABORT_AFTER_SIGNAL_SECONDS)
        if failure:
            self._note(f"{self._key}: the unfinished upload could not be removed: {failure[0]}")
        if interrupted is not None:
            raise interrupted


def _settled(future: Future[Any]) -> ObjectInfo:
    """The outcome of the request that makes the object visible.

    A signal that arrives meanwhile is too late to stop it, so the outcome decides, if it comes soon enough.
    """
    try:
        info: ObjectInfo = future.result()
    except Interrupted as interrupted:
        try:
            info = future.result(_SETTLE_SECONDS)
        except NotDone:
            raise interrupted from None
    return info
