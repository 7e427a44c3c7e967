"""One upload: parts of a stream are read into reused buffers and sent several at a time.

The main thread reads and waits; all that uses the network runs in other threads. So a signal, which
Python delivers to the main thread, stops the reading at once and never interrupts a request.
Memory: PartSchedule.buffers() × part size. Where objects are files, the kernel copies, or a small buffer does.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ..checksum import combined, crc32c
from ..errors import Interrupted, StorageError
from ..workers import Workers
from .buffers import Buffers, Memory, release_frames
from .descriptor_io import InputStream, Wakeup, pause, widen_pipe
from .file_copying import FileCopying
from .finish import abort_within_limit, wait_for_outcome
from .part_sizes import BUFFER_BUDGET, PartSchedule
from .throttle import Throttle

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable
    from concurrent.futures import Future

    from ..age.sealing import Seal
    from ..storage.contract import FileStore, ObjectInfo, PartWriter, Store
    from .descriptor_io import Alarm
    from .sealed_input import SealedInput

    _Work = Callable[[memoryview], None]
    # The request that makes an object visible, and the CRC-32C of the object.
    _Last = tuple[Callable[[], ObjectInfo], int | None]


class UploadSettings(NamedTuple):
    """`part_size`: bytes of the first parts; `concurrency`: parts in flight; `memory_limit`: bytes of buffers; `fixed`:
    all parts have the first size; `max_parts`: replaces the store's; `max_bandwidth`: bytes a second, or
    None; `checksum`: compute the CRC-32C.
    """

    part_size: int = 8 << 20
    concurrency: int = 4
    memory_limit: int = BUFFER_BUDGET
    fixed: bool = False
    max_parts: int | None = None
    max_bandwidth: int | None = None
    checksum: bool = True


class Upload:
    """One stream on its way into a store. run() does it all; abort() may come from any thread."""

    def __init__(
        self,
        store: Store,
        key: str,
        settings: UploadSettings,
        report: Callable[[str], None],
        *,
        seal: Seal | None = None,
        alarm: Alarm | None = None,
        memory: Memory | None = None,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`report` gets a line of text about what could not be removed after a failure; `seal`: what the object is
        encrypted with, None to store the stream as it is; `alarm` ends the upload where no signal does; `memory` is
        shared with other streams; `log` gets a line about what makes the upload slow.
        """
        self._seal = seal
        self._store = store
        self._key = key
        self._report = report
        self._settings = settings
        self._schedule = self._plan_parts()
        self._throttle = Throttle(settings.max_bandwidth, sleep=partial(pause, alarm=alarm))
        self._error: BaseException | None = None
        self._alarm = alarm
        self._wakeup: Wakeup | None = None
        self._buffers = Buffers(self._sleep, self._wake, memory, log)
        self._writer: PartWriter | None = None
        self._visible: ObjectInfo | None = None

    def _plan_parts(self) -> PartSchedule:
        settings = self._settings
        self._planned = self._store.capabilities
        return PartSchedule(
            settings.part_size, settings.concurrency, self._planned,
            memory_limit=settings.memory_limit, fixed=settings.fixed, max_parts=settings.max_parts,
        )  # fmt: skip

    def run(self, source: int) -> ObjectInfo:
        """Send everything that descriptor `source` yields as one object; returns what the store holds.

        On any error, and on a signal, the upload is aborted and the error raised: no object becomes
        visible and nothing is left behind.
        """
        # One thread for each part in flight; they start when there is work.
        pool = Workers(max_workers=max(1, self._schedule.buffers(1) - 1))
        try:
            with Wakeup(self._alarm) as self._wakeup:
                if (files := self._store.files) is not None:
                    last, crc = self._copy_to_file(files, source, pool, self._wakeup)
                else:
                    last, crc = self._send_stream(source, pool, self._wakeup)
                return wait_for_outcome(pool.submit(self._make_visible, last, crc), self._wakeup)
        except BaseException as error:
            if isinstance(error, Interrupted) and self._visible is not None:
                return self._visible  # too late: it is whole and visible
            self.abort(error)
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            self._buffers.close()
            if self._error is not None:  # its frames refer to buffers, which must not stay in memory
                self._error = StorageError(f"{self._key}: the upload has ended")

    def _send_stream(self, source: int, pool: Workers, wakeup: Wakeup) -> _Last:
        """Send the parts of a stream, all of it but for the last request, which makes the object visible."""
        stream = self._open_input(source, wakeup)
        buffer = self._take(1)
        filled = stream.fill(memoryview(buffer))
        work = stream.take_work()
        following, more, ended = None, 0, False
        if filled == len(buffer):
            widen_pipe(source)
            # Look for the next byte if memory allows: a stream that ends with its first part is still a small object.
            following = self._buffers.take_now(self._schedule.size(2), self._schedule.buffers(2), required=True)
            if following is not None:
                more = stream.read(memoryview(following))
                ended = not more
        if (ended or filled < len(buffer)) and self._store.capabilities.single_request_put:
            data = memoryview(buffer)[:filled]
            work(data)
            return partial(self._store.put, self._key, data), crc32c(data) if self._settings.checksum else None
        self._writer = writer = self._store.begin(self._key)
        self._crcs: dict[int, tuple[int, int]] = {}
        sending: list[Future[None]] = []
        number = total = 0
        while filled:
            number += 1
            total += filled
            self._wait_for_earlier_parts(sending, wakeup)
            sending = [future for future in sending if not future.done()]
            sending.append(pool.submit(self._send, writer, number, buffer, filled, work))
            if ended or filled < len(buffer) or (following is None and self._is_end(stream, number)):
                break
            buffer = self._take(number + 1, total) if following is None else following
            filled = stream.fill(memoryview(buffer), more)
            work = stream.take_work()
            following, more = None, 0
        for future in sending:
            wakeup.wait_for(future, self._raise_error)
        self._raise_error()
        crc = 0
        for _, (part, size) in sorted(self._crcs.items()):
            crc = combined(crc, part, size)
        return partial(writer.complete, total), crc if self._settings.checksum else None

    def _open_input(self, source: int, wakeup: Wakeup) -> InputStream | SealedInput:
        stream = InputStream(source, wakeup, self._raise_error, self._throttle)
        if self._seal is None:
            return stream
        from .sealed_input import SealedInput

        return SealedInput(stream, self._seal)

    def _wait_for_earlier_parts(self, sending: list[Future[None]], wakeup: Wakeup) -> None:
        """Wait where the store takes one part after another, or where the first part shows what the store can do."""
        capabilities = self._store.capabilities
        if capabilities.parallel_parts and not capabilities.first_part_shows:
            return
        for future in sending:
            wakeup.wait_for(future, self._raise_error)
        if self._store.capabilities != self._planned:  # another stream may have changed them
            self._schedule = self._plan_parts()

    def _copy_to_file(self, store: FileStore, source: int, pool: Workers, wakeup: Wakeup) -> _Last:
        """Copy a stream into a file of the store: its bytes need no buffers of ours."""
        self._writer = writer = store.begin(self._key)
        self._raise_error()  # abort() may have come before there was a writer
        widen_pipe(source)

        # The caller closes its descriptor, and another file gets the number, while the thread may still read.
        held = os.dup(source)
        copying = FileCopying(self._throttle, self._settings.checksum, self._raise_error, self._alarm)
        # In another thread, like all that may wait for a disk or a mount that hangs.
        copied = pool.submit(copying.to_file, held, writer, self._seal)
        copied.add_done_callback(lambda _: os.close(held))
        size, crc = wakeup.wait_for(copied)
        return partial(writer.complete, size), crc

    def _make_visible(self, request: Callable[[], ObjectInfo], crc: int | None) -> ObjectInfo:
        self._visible = request()._replace(crc32c=crc)
        return self._visible

    def _is_end(self, stream: InputStream | SealedInput, number: int) -> bool:
        """Whether the stream ends with part `number`, where it must: at the last part that there may be."""
        if self._schedule.size(number + 1):
            return False
        if stream.read(memoryview(bytearray(1))):
            raise StorageError(
                f"{self._key}: the stream is longer than {number:,} parts, the most the store takes, can hold; "
                f"{self._schedule.advice}"
            )
        return True

    def _take(self, number: int, start: int = 0) -> mmap.mmap:
        self._raise_error()
        limit = None if self._writer is None else self._writer.part_limit
        size = self._schedule.carried_size(number, start, limit)
        return self._buffers.take(size, self._schedule.buffers(number))

    def _sleep(self) -> None:
        if self._wakeup is not None:
            self._wakeup.sleep(self._wakeup.watch())
        self._raise_error()

    def _wake(self) -> None:
        if self._wakeup is not None:
            self._wakeup.wake()

    def _send(self, writer: PartWriter, number: int, buffer: mmap.mmap, filled: int, work: _Work) -> None:
        try:
            self._raise_error()
            with memoryview(buffer) as whole, whole[:filled] as data:
                work(data)
                if self._settings.checksum:
                    self._crcs[number] = crc32c(data), filled
                writer.write(number, data)
        except BaseException as error:  # noqa: BLE001 - kept for the main thread
            release_frames(error)
            self._error = self._error or error
        finally:
            self._buffers.release(buffer)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def abort(self, error: BaseException) -> None:
        """Abort the upload within a time limit: an unreachable store must not keep the command from ending."""
        self._error = self._error or error  # parts that wait for a thread need not start
        self._wake()
        writer = self._writer
        if writer is None:
            return
        failure, interrupted = abort_within_limit(writer.abort, error)
        if failure:
            self._report(f"{self._key}: the unfinished upload could not be removed: {failure}")
        if interrupted is not None:
            raise interrupted
