"""Loops over file descriptors, and a wakeup that wakes whoever waits on a descriptor."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

from ..errors import LocalFileError, ReaderGone

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from types import TracebackType

    from .throttle import Throttle

_T = TypeVar("_T")
# A user may have 64 MiB of pipes by default, and beyond that every new pipe is tiny: leave room for 256 streams.
_PIPE_BYTES = 256 << 10


class Alarm(Protocol):
    """Ends a stream from outside where no signal can: in a process that serves many callers."""

    fd: int  # readable when there is something to check

    def check(self) -> None:
        """Raise Interrupted if the stream is to end."""
        ...


class Wakeup:
    """A worker rings it; the main thread, asleep on a descriptor, wakes. An alarm wakes it, too."""

    def __init__(self, alarm: Alarm | None = None) -> None:
        """Takes two descriptors until it is closed."""
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._alarm = alarm
        self._lock = threading.Lock()
        self._open = True

    def __enter__(self) -> Wakeup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Under the lock, or a late ring could be written into a file that was given the number meanwhile.
        with self._lock:
            self._open = False
            os.close(self._read)
            os.close(self._write)

    def wake(self, _: object = None) -> None:
        """Wake the sleeper, now or at its next sleep. Does nothing when nobody can be asleep any more."""
        with self._lock, suppress(BlockingIOError):  # full: it will wake anyway
            if self._open:
                os.write(self._write, b"!")

    def watch(self, fd: int | None = None, events: int = 0) -> select.poll:
        """A poll object for the wakeup, and for a descriptor."""
        poller = _poller(fd, events, self._alarm)
        poller.register(self._read, select.POLLIN)
        return poller

    def sleep(self, poller: select.poll) -> dict[int, int]:
        """Until it rings, or something happens to the descriptor; returns the descriptors and their events."""
        happened = dict(poller.poll())
        if self._alarm is not None:
            self._alarm.check()
        if self._read in happened:
            with suppress(BlockingIOError):
                while os.read(self._read, 4096):
                    pass
        return happened

    def wait_for(self, future: Future[_T], check: Callable[[], None] = lambda: None) -> _T:
        """What a worker gives, awaited so that the alarm ends the wait; `check` is called at each ring."""
        future.add_done_callback(self.wake)
        poller = self.watch()
        while not future.done():
            self.sleep(poller)
            check()
        return future.result()


class InputStream:
    """What comes in on a descriptor, read into buffers."""

    def __init__(self, fd: int, wakeup: Wakeup, check: Callable[[], None], throttle: Throttle) -> None:
        """`check` is called before each read and raises when reading on is pointless; `throttle` limits the rate."""
        self._fd = fd
        self._wakeup = wakeup
        self._throttle = throttle
        self._poller = wakeup.watch(fd, select.POLLIN)
        self._check = check

    def read(self, into: memoryview) -> int:
        """Read what is there, waiting for at least one byte; 0 at the end of the stream."""
        while True:
            ready = self._wakeup.sleep(self._poller)
            self._check()
            if self._fd not in ready:
                continue
            allowed = self._throttle.allow(len(into))
            try:
                count = os.readv(self._fd, [into[:allowed]])
                self._throttle.count(count)
                return count
            except BlockingIOError:
                continue
            except OSError as error:
                raise input_failed(error) from error

    def take_work(self) -> Callable[[memoryview], None]:
        """What is left to do with the bytes of a filled buffer before they are sent: nothing."""
        return _leave_alone

    def fill(self, into: memoryview, filled: int = 0) -> int:
        """Read until the buffer is full or the stream ends; the count of bytes in it."""
        while filled < len(into):
            count = self.read(into[filled:])
            if count == 0:
                break
            filled += count
        return filled


def _leave_alone(data: memoryview) -> None:
    del data


def output_failed(error: OSError) -> Exception:
    """What to raise when our output can't be written: ReaderGone where its reader has closed it."""
    if error.errno in (errno.EPIPE, errno.ECONNRESET):
        return ReaderGone()
    return LocalFileError(f"can't write the output: {error.strerror}")


def write_all(
    fd: int,
    data: bytes | memoryview,
    failed: Callable[[OSError], Exception] = output_failed,
    alarm: Alarm | None = None,
) -> None:
    """Write every byte; `failed` makes what is raised of an error."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            wait_until_writable(fd, alarm)
        except OSError as error:
            raise failed(error) from error


def input_failed(error: OSError) -> Exception:
    """What to raise when our input can't be read."""
    return LocalFileError(f"can't read the input: {error.strerror}")


def wait_until_readable(fd: int, alarm: Alarm | None = None) -> None:
    """Sleep until a descriptor that does not block gives something again, or its end."""
    _wait(fd, select.POLLIN, alarm)


def wait_until_writable(fd: int, alarm: Alarm | None = None) -> None:
    """Sleep until a descriptor that does not block takes something again."""
    _wait(fd, select.POLLOUT, alarm)


def pause(seconds: float, alarm: Alarm | None = None) -> None:
    """Sleep for so many seconds, or until the alarm goes off."""
    if alarm is None:
        time.sleep(seconds)
        return
    _poller(None, 0, alarm).poll(seconds * 1000)
    alarm.check()


def _wait(fd: int, events: int, alarm: Alarm | None) -> None:
    _poller(fd, events, alarm).poll()
    if alarm is not None:
        alarm.check()


def _poller(fd: int | None, events: int, alarm: Alarm | None) -> select.poll:
    poller = select.poll()
    if fd is not None:
        poller.register(fd, events)
    if alarm is not None:
        poller.register(alarm.fd, select.POLLIN)
    return poller


def widen_pipe(fd: int) -> None:
    """Let a pipe hold 256 KiB instead of 64: fewer wake-ups on both sides."""
    with suppress(OSError):  # no pipe, or the user's share of pipe memory is spent
        if fcntl.fcntl(fd, getattr(fcntl, "F_GETPIPE_SZ", 1032)) < _PIPE_BYTES:
            fcntl.fcntl(fd, getattr(fcntl, "F_SETPIPE_SZ", 1031), _PIPE_BYTES)
