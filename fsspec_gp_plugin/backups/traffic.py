"""Streams to a target and back, to be measured: pipes, filled and drained, as gpbackup's and gprestore's are.

The content is the keystream of a cipher, which nothing can compress. It is made before the time is taken, in memory
that the kernel lends to the pipes, so that making and throwing it away costs next to nothing; what it costs the
threads that do so is not counted.
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

# Beyond that a stream has the same bytes again.
_MOST_CONTENT = 256 << 20
_PIECE = 1 << 20
_STOPPED_SECONDS = 5.0


@dataclass(frozen=True)
class Measured:
    """What streams took together: bytes, and seconds of the clock and of processors."""

    size: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.size / max(self.seconds, 1e-9)


class Content:
    """Incompressible bytes in memory, to be read by several at once."""

    def __init__(self, size: int) -> None:
        """So many bytes, 256 MB at the most, which a longer stream has again and again."""
        self.size = max(1, min(size, _MOST_CONTENT))
        self._fd = os.memfd_create("content", os.MFD_CLOEXEC)

    def renew(self) -> None:
        """Other bytes from here on: a store that keeps equal ones once shall not know them."""
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        stream = Cipher(algorithms.AES(secrets.token_bytes(16)), modes.CTR(bytes(16))).encryptor()
        zeros = bytes(_PIECE)
        for start in range(0, self.size, _PIECE):
            os.pwrite(self._fd, stream.update(zeros[: self.size - start]), start)

    def pour(self, sink: int, size: int, start: int = 0) -> None:
        """Send so many bytes to a pipe, from a place in the content on; ends early where nobody reads."""
        with suppress(BrokenPipeError):
            while size:
                at = start % self.size
                sent = os.splice(self._fd, sink, min(size, self.size - at), at)
                size -= sent
                start += sent

    def close(self) -> None:
        """Give the memory back."""
        os.close(self._fd)


class Traffic:
    """Streams between this process and a store. What they write is for the caller to delete."""

    def __init__(self, store: Store, note: Callable[[str], None]) -> None:
        """`note` is told what an upload that failed could not take back."""
        self._store = store
        self._note = note

    def up(self, keys: list[str], size: int, content: Content, settings: UploadSettings) -> Measured:
        """Store a stream of so many bytes under each key, all at once. Whatever fails or interrupts it, each of them is
        aborted.
        """
        uploads = [Upload(self._store, key, settings, self._note) for key in keys]
        step = content.size // len(keys)

        def send(number: int) -> tuple[int, float]:
            ours, theirs = os.pipe2(os.O_CLOEXEC)
            feeding = _Aside(lambda: content.pour(theirs, size, number * step), theirs)
            try:
                uploads[number].run(ours)
            finally:
                os.close(ours)  # nobody feeds a pipe that nobody reads
                feeding.wait()
            return size, feeding.cpu

        def stop(error: BaseException) -> None:
            for upload in uploads:
                upload.abort(error)

        return _together(len(keys), send, stop)

    def down(self, keys: list[str], settings: DownloadSettings, seconds: float = float("inf")) -> Measured:
        """Read each object, all at once, and stop after so many seconds: it is measured what came until then."""
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
                drain.aside.wait()
            return drain.size, drain.aside.cpu

        return _together(len(keys), fetch, lambda _: stopped.set())


class _Aside:
    """Something done in a thread, and the processor's seconds that it took; a descriptor is closed at its end."""

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
    """Takes all that comes out of a pipe, until a time, or until it is stopped, and counts it."""

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

        self.aside = _Aside(run, source)


def _together(count: int, work: Callable[[int], tuple[int, float]], stop: Callable[[BaseException], None]) -> Measured:
    """Do it for each number at once; `stop` ends what still runs when one fails, or when this thread is interrupted."""
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
    aside = sum(cpu_aside for _, cpu_aside in done)
    return Measured(sum(size for size, _ in done), seconds, max(0.0, time.process_time() - cpu - aside))
