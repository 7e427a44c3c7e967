"""A filesystem whose calls all come to an end: fsspec sets no limit of time to any.

Each connection has a thread that alone makes the calls on it. Who waits for one waits for so long, then leaves the
thread behind with the call: a thread can't be ended from outside. There are never more than a few of those.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from .left_threads import Call, Calls, discard, left, start

if TYPE_CHECKING:
    from collections.abc import Callable

# A call that has to move more than this, by what is known of it, may take longer, as if it moved a megabyte a second.
_MOVED_IN_TIME = 8 << 20
_RATE = 1 << 20
# A call whose thread works, as one that lists a million files, is given so many times the limit.
_MOST_SPELLS = 10
# Of the time, as CPU: a loop that asks every few milliseconds whether something has come takes less.
_WORKS = 0.05
# Calls that may work for long.
_LISTINGS = ("find", "ls")


class Bounded:
    """An fsspec filesystem and its thread: for one caller at a time, except for let_go().

    Whatever a call raises is raised here. TimeoutError: it did not end in time; then, and after let_go(), every other
    call is a ConnectionError.
    """

    def __init__(self, make: Callable[[], Any], timeout: float, owner: object) -> None:
        """`make` gives the filesystem, in the thread and as any other call; `timeout`: seconds for each; `owner`: what
        has all connections of one store, of whose calls only a few may hang.
        """
        self._timeout = timeout
        self._owner = owner
        self._lock = threading.RLock()  # a finaliser of this thread may ask for it
        self._current: Call | None = None
        self._process = os.getpid()
        self._calls: Calls = SimpleQueue()
        self.is_over = False
        # It is let go of in the thread, as its finaliser may send what it has.
        self._file: Any = None
        self.filesystem: Any = None
        # Bytes of the file whose size was asked for last: the one that is renamed next, which may mean to copy it.
        self.last_size = 0
        left.require_few(owner)
        self._thread = start(self._calls)
        weakref.finalize(self, self._calls.put, None)
        self.filesystem = self.run(make)

    def call(self, name: str, *args: Any, moving: int = 0, **options: Any) -> Any:
        """Call a method of the filesystem. `moving`: bytes that it may have to move, as far as is known."""
        return self.run(getattr(self.filesystem, name), *args, moving=moving, **options)

    def open(self, path: str, mode: str) -> None:
        """Open a file, the only one at a time, for call_file() and close_file()."""
        self._file = self.call("open", path, mode)

    def call_file(self, name: str, *args: Any, moving: int = 0) -> Any:
        """Call a method of the file that is open."""
        return self.run(getattr(self._file, name), *args, moving=moving)

    def close_file(self, *, moving: int = 0) -> None:
        """Close the file that is open."""
        self.call_file("close", moving=moving)
        self._file = None

    def discard_file(self) -> None:
        """Let go of the file that is open without sending more, where it can do that."""
        self.run(discard, self._file)
        self._file = None

    def unsent(self) -> int | None:
        """Bytes that the file that is open keeps, as those of fsspec's own kind tell; None where it does not tell."""
        written, sent = getattr(self._file, "loc", None), getattr(self._file, "offset", None)
        return written - (sent if isinstance(sent, int) else 0) if isinstance(written, int) else None

    def run(self, method: Callable[..., Any], *args: Any, moving: int = 0, **options: Any) -> Any:
        """Call something in the thread, for the filesystem or for a file of it."""
        left.require_few(self._owner)
        call = Call(partial(_whole, method, *args, **options))
        with self._lock:
            if self.is_over or self._process != os.getpid():
                raise ConnectionError("the connection was given up")
            self._current = call
        self._calls.put(call)
        try:
            name = getattr(method, "__name__", "a call")
            seconds = self._timeout + max(0, moving - _MOVED_IN_TIME) / _RATE
            if not self._wait(call, seconds, lists=name.strip("_") in _LISTINGS):
                raise TimeoutError(f"{name}() did not end in the {self._timeout:g} s of the option `timeout`")
        except BaseException:
            self.let_go()
            raise
        finally:
            self._current = None
        try:
            if call.error is not None:
                raise call.error
            return call.result
        finally:
            del call  # the error knows this frame

    def _wait(self, call: Call, seconds: float, *, lists: bool) -> bool:
        """Whether it ends in so many seconds, and in more as long as its thread works."""
        spells_of_shared = _MOST_SPELLS if lists else 1
        for _ in range(_MOST_SPELLS):
            if call.done.wait(seconds / 2):
                return True
            before, shared_before = _cpu_seconds(self._thread), self._shared_cpu_seconds()
            if call.done.wait(seconds / 2):
                return True
            least = _WORKS * seconds / 2
            if _cpu_seconds(self._thread) - before >= least:
                continue
            if not spells_of_shared or self._shared_cpu_seconds() - shared_before < least:
                break
            spells_of_shared -= 1
        return False

    def _shared_cpu_seconds(self) -> float:
        """Of the thread in which all asynchronous filesystems of the process work: it tells little of one call."""
        if not getattr(self.filesystem, "async_impl", False):
            return 0.0
        from fsspec.asyn import iothread

        return sum(_cpu_seconds(thread) for thread in iothread if thread is not None)

    def let_go(self) -> None:
        """Give it up, and end its thread and its file; waits for nothing. A call that is under way fails."""
        with self._lock:
            if self.is_over:
                return
            self.is_over = True
            call = self._current
        if self._process != os.getpid():
            return
        left.add(self._calls, self._owner)
        self._calls.put(Call(partial(_end, self.filesystem, self._file)))
        self._calls.put(None)
        if call is not None and not call.done.is_set():
            call.is_late = True
            call.error = ConnectionError("the connection was given up")
            call.done.set()
            self._wake()

    def _wake(self) -> None:
        """Close the filesystem while a call hangs on it, which that may end. It is not counted, as it makes no call for
        which another one could be left behind.
        """
        if not callable(getattr(self.filesystem, "close", None)):
            return
        calls: Calls = SimpleQueue()
        calls.put(Call(partial(_end, self.filesystem, None)))
        calls.put(None)
        with suppress(RuntimeError):  # the system gives no more threads
            start(calls)


def _whole(method: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What a method gives; all of it, where it would go on when asked for more."""
    result = method(*args, **options)
    return list(result) if isinstance(result, GeneratorType) else result


def _end(filesystem: Any, file: Any) -> None:
    discard(file)
    with suppress(Exception):
        filesystem.close()


def _cpu_seconds(thread: threading.Thread) -> float:
    """What a thread has used; 0 where the system does not tell."""
    try:
        with open(f"/proc/self/task/{thread.native_id}/schedstat", "rb") as file:
            return int(file.read().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
