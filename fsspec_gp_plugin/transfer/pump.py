"""Loops over file descriptors, the buffers they fill, and a bell that wakes whoever waits on a descriptor."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import select
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import LocalFileError, ReaderGone

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from .throttle import Throttle

# A user may have 64 MiB of pipes by default, and beyond that every new pipe is tiny: leave room for 256 streams.
_PIPE_BYTES = 256 << 10


class Bell:
    """A worker rings it; the main thread, asleep on a descriptor, wakes."""

    def __init__(self) -> None:
        """Takes two descriptors until close()."""
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._lock = threading.Lock()
        self._open = True

    def __enter__(self) -> Bell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Under the lock, or a late ring could be written into a file that was given the number meanwhile.
        with self._lock:
            self._open = False
            os.close(self._read)
            os.close(self._write)

    def ring(self) -> None:
        """Wake the sleeper, now or at its next wait. Does nothing when nobody can be asleep any more."""
        with self._lock, suppress(BlockingIOError):  # full: it will wake anyway
            if self._open:
                os.write(self._write, b"!")

    def quiet(self) -> None:
        """Take back all rings so far."""
        with suppress(BlockingIOError):
            while os.read(self._read, 4096):
                pass

    def watch(self, fd: int, events: int) -> select.poll:
        """A poll object for the descriptor and the bell."""
        poller = select.poll()
        poller.register(fd, events)
        poller.register(self._read, select.POLLIN)
        return poller


class Source:
    """What comes in on a descriptor, read into buffers."""

    def __init__(self, fd: int, bell: Bell, check: Callable[[], None], throttle: Throttle) -> None:
        """`check` is called before each read and raises when reading on is pointless; `throttle` limits the rate."""
        self._fd = fd
        self._throttle = throttle
        self._poller = bell.watch(fd, select.POLLIN)
        self._check = check

    def read(self, into: memoryview) -> int:
        """Read what is there, waiting for at least one byte; 0 at the end of the stream."""
        while True:
            self._poller.poll()
            self._check()
            allowed = self._throttle.allow(len(into))
            try:
                count = os.readv(self._fd, [into[:allowed]])
                self._throttle.count(count)
                return count
            except BlockingIOError:
                continue
            except OSError as error:
                raise input_failed(error) from error

    def fill(self, into: memoryview, filled: int = 0) -> int:
        """Read until the buffer is full or the stream ends; the count of bytes in it."""
        while filled < len(into):
            count = self.read(into[filled:])
            if count == 0:
                break
            filled += count
        return filled


def output_failed(error: OSError) -> Exception:
    """What to raise when our output can't be written: ReaderGone where its reader has closed it."""
    if error.errno in (errno.EPIPE, errno.ECONNRESET):
        return ReaderGone()
    return LocalFileError(f"can't write the output: {error.strerror}")


def write_all(fd: int, data: bytes | memoryview, failed: Callable[[OSError], Exception] = output_failed) -> None:
    """Write every byte; `failed` makes what is raised of an error."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            wait_until_writable(fd)
        except OSError as error:
            raise failed(error) from error


def input_failed(error: OSError) -> Exception:
    """What to raise when our input can't be read."""
    return LocalFileError(f"can't read the input: {error.strerror}")


def wait_until_readable(fd: int) -> None:
    """Sleep until a descriptor that does not block gives something again, or its end."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    poller.poll()


def wait_until_writable(fd: int) -> None:
    """Sleep until a descriptor that does not block takes something again."""
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    poller.poll()


def widen_pipe(fd: int) -> None:
    """Let a pipe hold 256 KiB instead of 64: fewer wake-ups on both sides."""
    with suppress(OSError):  # no pipe, or the user's share of pipe memory is spent
        if fcntl.fcntl(fd, getattr(fcntl, "F_GETPIPE_SZ", 1032)) < _PIPE_BYTES:
            fcntl.fcntl(fd, getattr(fcntl, "F_SETPIPE_SZ", 1031), _PIPE_BYTES)


class Buffers:
    """A bounded stock of equal buffers, reused; taking one waits until one is free.

    Memory is mapped, not allocated from the heap, so that it goes back to the system at once.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        """`check` is called while waiting and raises when waiting on is pointless."""
        self._check = check
        self._changed = threading.Condition()
        self._free: list[mmap.mmap] = []
        self._out = 0

    def take(self, size: int, most: int) -> mmap.mmap:
        """A buffer of `size` bytes, when fewer than `most` are out. Sizes may only grow."""
        with self._changed:
            while self._out >= most:
                self._check()
                self._changed.wait()
            self._check()
            for old in [buffer for buffer in self._free if len(buffer) != size]:
                self._free.remove(old)
                old.close()
            if self._free:
                buffer = self._free.pop()
            else:
                try:
                    buffer = mmap.mmap(-1, size)
                except OSError as error:
                    raise MemoryError from error
            self._out += 1
            return buffer

    def give_back(self, buffer: mmap.mmap) -> None:
        """Return a buffer that nobody looks at any more."""
        with self._changed:
            self._out -= 1
            self._free.append(buffer)
            self._changed.notify_all()

    def wake(self) -> None:
        """Make whoever waits call its check."""
        with self._changed:
            self._changed.notify_all()
