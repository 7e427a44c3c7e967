"""Measures streams to a target and back, through pipes as gpbackup and gprestore use them.

The content is the keystream of a cipher, which can't be compressed. It is made before the measurement, in memory that
the kernel lends to the pipes, so making and dropping it costs almost nothing. The processor time of the threads that
fill and drain the pipes is not counted.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ReaderGone
from ..transfer.download import Download
from ..transfer.upload import Upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..storage.contract import Store
    from ..transfer.download import DownloadSettings
    from ..transfer.upload import UploadSettings

# A longer stream repeats these bytes.
_MOST_CONTENT = 256 << 20
_PIECE = 1 << 20
_STOPPED_SECONDS = 5.0


@dataclass(frozen=True)
class Measured:
    """Bytes of several streams together, and their seconds by the clock and of processors."""

    size: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return self.size / max(self.seconds, 1e-9)


class Content:
    """Incompressible bytes in memory, which several streams may read at the same time."""

    def __init__(self, size: int) -> None:
        """`size`: bytes, at most 256 MB; a longer stream repeats them."""
        self.size = max(1, min(size, _MOST_CONTENT))
        self._fd = os.memfd_create("content", os.MFD_CLOEXEC)

    def renew(self) -> None:
        """Replace the bytes, so that a store with deduplication doesn't know them."""
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        stream = Cipher(algorithms.AES(secrets.token_bytes(16)), modes.CTR(bytes(16))).encryptor()
        zeros = bytes(_PIECE)
        for start in range(0, self.size, _PIECE):
            os.pwrite(self._fd, stream.update(zeros[: self.size - start]), start)

    def pour(self, sink: int, size: int, start: int = 0) -> None:
        """Send `size` bytes to a pipe, from the offset `start` of the content. Ends early if nobody reads."""
        with suppress(BrokenPipeError):
            while size:
                at = start % self.size
                sent = os.splice(self._fd, sink, min(size, self.size - at), at)
                size -= sent
                start += sent

    def close(self) -> None:
        """Release the memory."""
        os.close(self._fd)


class Traffic:
    """Streams between this process and a store. The caller deletes the objects."""

    def __init__(self, store: Store, note: Callable[[str], None]) -> None:
        """`note` gets messages about uploads that could not be aborted."""
        self._store = store
        self._note = note

    def up(self, keys: list[str], size: int, content: Content, settings: UploadSettings) -> Measured:
        """Store a stream of `size` bytes under each key, all at the same time. After any error or interruption all of
        them are aborted.
        """
        uploads = [Upload(self._store, key, settings, self._note) for key in keys]
        step = content.size // len(keys)

        def send(number: int) -> tuple[int, float]:
            ours, theirs = os.pipe2(os.O_CLOEXEC)
            feeding = _TimedThread(lambda: content.pour(theirs, size, number * step), theirs)
            try:
                uploads[number].run(ours)
            finally:
                os.close(ours)  # the feeder ends when nobody reads the pipe
                feeding.wait()
            return size, feeding.cpu

        def stop(error: BaseException) -> None:
            for upload in uploads:
                upload.abort(error)

        return _run_streams(len(keys), send, stop)

    def down(self, keys: list[str], settings: DownloadSettings, seconds: float = float("inf")) -> Measured:
        """Read all objects at the same time, for so many seconds at most, and measure what has arrived by then."""
        end = time.monotonic() + seconds
        stopped = threading.Event()

        def fetch(number: int) -> tuple[int, float]:
            theirs, ours = os.pipe2(os.O_CLOEXEC)
            drain = _Drain(theirs, end, stopped)
            try:
                with suppress(ReaderGone):
                    Download(self._store, ours, settings).write_whole(keys[number])
            finally:
                os.close(ours)
                drain.thread.wait()
            return drain.size, drain.thread.cpu

        return _run_streams(len(keys), fetch, lambda _: stopped.set())


class _TimedThread:
    """A thread that closes a descriptor at its end, and the seconds of processor time that it took."""

    def __init__(self, work: Callable[[], None], fd: int) -> None:
        self.cpu = 0.0

        def run() -> None:
            try:
                work()
            finally:
                os.close(fd)
                self.cpu = time.thread_time()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        self._thread.join()


class _Drain:
    """Reads and counts everything from a pipe, until a time or until it is stopped."""

    def __init__(self, source: int, end: float, stopped: threading.Event) -> None:
        self.size = 0

        def run() -> None:
            sink = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            try:
                while time.monotonic() < end and not stopped.is_set():
                    count = os.splice(source, sink, _PIECE)
                    if not count:
                        return
                    self.size += count
            finally:
                os.close(sink)

        self.thread = _TimedThread(run, source)


def _run_streams(
    count: int, work: Callable[[int], tuple[int, float]], stop: Callable[[BaseException], None]
) -> Measured:
    """Do the work for each number at the same time. If one fails or this thread is interrupted, call `stop`."""
    pool = ThreadPoolExecutor(count)
    started, cpu = time.monotonic(), time.process_time()
    running = [pool.submit(work, number) for number in range(count)]
    try:
        wait(running, return_when=FIRST_EXCEPTION)
        done = [future.result() for future in running]
    except BaseException as error:
        stop(error)
        wait(running, _STOPPED_SECONDS)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    seconds = time.monotonic() - started
    uncounted = sum(thread_cpu for _, thread_cpu in done)
    return Measured(sum(size for size, _ in done), seconds, max(0.0, time.process_time() - cpu - uncounted))
