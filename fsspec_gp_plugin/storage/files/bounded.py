"""A filesystem whose calls all come to an end: fsspec sets no time limit to any.

Each connection has a thread that alone makes the calls on it. The caller waits for a call until the time limit, then
abandons the thread with that call: a thread can't be ended from outside. Only a few may be abandoned at a time.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from types import GeneratorType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# A call that has to move more than this, as far as is known, gets more time, as if it moved a megabyte a second.
_MOVED_IN_TIME, _RATE = 8 << 20, 1 << 20
# A call whose thread works, as one that lists a million files, gets so many times the limit.
_MOST_SPELLS = 10
# Share of the time that a working thread uses as CPU: a loop that asks every few milliseconds for data uses less.
_WORKS = 0.05
_LISTINGS = ("find", "ls")  # calls that may work for long
# Abandoned threads of one store, so that a dead server harms no other store, and of one process.
MOST_ABANDONED = 8
MOST_OF_PROCESS = 4 * MOST_ABANDONED
_TO_END_SECONDS = 1.0  # connections that were closed in good order count for a moment, too


class Bounded:
    """An fsspec filesystem and its thread: for one caller at a time, except for close().

    Whatever a call raises is raised here, and TimeoutError when it did not end in time. After that, and after close(),
    every other call raises ConnectionError.
    """

    def __init__(self, make: Callable[[], Any], timeout: float, owner: object) -> None:
        """`make` gives the filesystem and is called in the thread; `timeout` is in seconds, for each call; `owner` has
        all connections of one store, of whose calls only a few may hang.
        """
        self._timeout = timeout
        self._owner = owner
        self._lock = threading.RLock()  # a finaliser of this thread may ask for it
        self._current: _Call | None = None
        self._process = os.getpid()
        self._calls: _Calls = SimpleQueue()
        self.is_closed = False
        # It is released in the thread, as its finaliser may send what it has.
        self._file: Any = None
        self.filesystem: Any = None
        # Bytes of the file whose size was requested last: the one that is renamed next, perhaps by a copy.
        self.last_size = 0
        _abandoned.require_few(owner)
        self._thread = threading.Thread(target=_work, args=(self._calls,), name="fsspec", daemon=True)
        self._thread.start()
        weakref.finalize(self, self._calls.put, None)
        self.filesystem = self.run(make)

    def call(self, name: str, *args: Any, moving: int = 0, **options: Any) -> Any:
        """Call a method of the filesystem. `moving`: bytes that it may have to move, as far as is known."""
        return self.run(getattr(self.filesystem, name), *args, moving=moving, **options)

    def open(self, path: str, mode: str) -> None:
        """Open a file, the only one at a time, for call_file() and close_file()."""
        self._file = self.call("open", path, mode)

    def call_file(self, name: str, *args: Any, moving: int = 0) -> Any:
        """Call a method of the open file."""
        return self.run(getattr(self._file, name), *args, moving=moving)

    def close_file(self, *, moving: int = 0) -> None:
        """Close the open file."""
        self.call_file("close", moving=moving)
        self._file = None

    def discard_file(self) -> None:
        """Close the open file without sending more, where it can do that."""
        self.run(_discard, self._file)
        self._file = None

    def unsent(self) -> int | None:
        """Bytes that the open file keeps, by what those of fsspec's own kind show. None if it is unknown."""
        written, sent = getattr(self._file, "loc", None), getattr(self._file, "offset", None)
        return written - (sent if isinstance(sent, int) else 0) if isinstance(written, int) else None

    def run(self, method: Callable[..., Any], *args: Any, moving: int = 0, **options: Any) -> Any:
        """Call something in the thread, for the filesystem or for a file of it."""
        _abandoned.require_few(self._owner)
        call = _Call(partial(_whole, method, *args, **options))
        with self._lock:
            if self.is_closed or self._process != os.getpid():
                raise ConnectionError("the connection was closed")
            self._current = call
        self._calls.put(call)
        try:
            name = getattr(method, "__name__", "a call")
            seconds = self._timeout + max(0, moving - _MOVED_IN_TIME) / _RATE
            if not self._wait(call, seconds, lists=name.strip("_") in _LISTINGS):
                raise TimeoutError(f"{name}() did not end in the {self._timeout:g} s of the option `timeout`")
        except BaseException:
            self.close()
            raise
        finally:
            self._current = None
        try:
            if call.error is not None:
                raise call.error
            return call.result
        finally:
            del call  # the error knows this frame

    def _wait(self, call: _Call, seconds: float, *, lists: bool) -> bool:
        """Whether it ends in so many seconds, or in more as long as its thread works."""
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
        """CPU of the thread in which all asynchronous filesystems of the process work: it tells little of one call."""
        if not getattr(self.filesystem, "async_impl", False):
            return 0.0
        from fsspec.asyn import iothread

        return sum(_cpu_seconds(thread) for thread in iothread if thread is not None)

    def close(self) -> None:
        """End the thread and its file; waits for nothing. A call that is under way fails."""
        with self._lock:
            if self.is_closed:
                return
            self.is_closed = True
            call = self._current
        if self._process != os.getpid():
            return
        _abandoned.add(self._calls, self._owner)
        self._calls.put(_Call(partial(_end, self.filesystem, self._file)))
        self._calls.put(None)
        if call is not None and not call.done.is_set():
            call.is_abandoned = True
            call.error = ConnectionError("the connection was closed")
            call.done.set()
            # To close the filesystem may end the call that hangs on it. This thread is not counted: it makes no call
            # that can be abandoned.
            if callable(getattr(self.filesystem, "close", None)):
                with suppress(RuntimeError):  # the system gives no more threads
                    threading.Thread(target=_end, args=(self.filesystem, None), name="fsspec", daemon=True).start()


@dataclass(eq=False)
class _Call:
    """One call on its way to the thread and back."""

    work: Callable[[], Any]
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: BaseException | None = None
    is_abandoned: bool = False


_Calls = SimpleQueue["_Call | None"]


class _Abandoned:
    """The threads of this process that nobody waits for any more, until they end."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew in a process that was forked: it has none of them."""
        self._owners: dict[_Calls, object] = {}
        self._changed = threading.Condition()

    def add(self, calls: _Calls, owner: object) -> None:
        """Count one more."""
        with self._changed:
            self._owners[calls] = owner

    def discard(self, calls: _Calls) -> None:
        """Count one no more, as it has ended."""
        with self._changed:
            self._owners.pop(calls, None)
            self._changed.notify_all()

    def require_few(self, owner: object) -> None:
        """Raises ConnectionError where the owner or the process has too many, as any call may add another."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(owner), _TO_END_SECONDS):
                raise ConnectionError(f"{len(self._owners)} earlier calls still hang in the filesystem's library")

    def _has_room(self, owner: object) -> bool:
        of_owner = sum(one is owner for one in self._owners.values())
        return of_owner < MOST_ABANDONED and len(self._owners) < MOST_OF_PROCESS


_abandoned = _Abandoned()
os.register_at_fork(after_in_child=_abandoned.reset)


def _work(calls: _Calls) -> None:
    """Make the calls of one connection, up to the None among them."""
    try:
        while (call := calls.get()) is not None:
            try:
                call.result = call.work()
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                call.error = error
            call.done.set()
            if call.is_abandoned:
                _discard(call.result)
            del call  # with what it has given, until the next one comes
    finally:
        _abandoned.discard(calls)


def _whole(method: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What a method gives; all of it, where it would go on when the next item is requested."""
    result = method(*args, **options)
    return list(result) if isinstance(result, GeneratorType) else result


def _discard(thing: Any) -> None:
    """Close a file or a filesystem, a file without sending more, where it can do that. May not return."""
    with suppress(Exception):
        thing.discard()
        thing.closed = True  # or its finaliser would flush
        return
    with suppress(Exception):
        thing.close()


def _end(filesystem: Any, file: Any) -> None:
    _discard(file)
    with suppress(Exception):
        filesystem.close()


def _cpu_seconds(thread: threading.Thread) -> float:
    """CPU that a thread has used; 0 where the system does not tell."""
    try:
        with open(f"/proc/self/task/{thread.native_id}/schedstat", "rb") as file:
            return int(file.read().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
