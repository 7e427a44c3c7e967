"""Threads that make calls for others, who may leave them behind: a thread can't be ended from outside."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Of one store, so that one whose server is dead takes no other with it, and of one process. What they hold in memory
# stays as long as they do.
MOST_LEFT = 8
MOST_OF_PROCESS = 4 * MOST_LEFT
# Connections that were let go of in good order count for a moment, too.
_TO_END_SECONDS = 1.0


class Call:
    """One call on its way to the thread and back."""

    __slots__ = ("done", "error", "is_late", "result", "work")

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_late = False  # nobody waits for its end any more


Calls = SimpleQueue["Call | None"]


class _Left:
    """The threads of this process that nobody waits for any more, until they end."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """A process that was forked has none of them."""
        self._owners: dict[Calls, object] = {}
        self._changed = threading.Condition()

    def add(self, calls: Calls, owner: object) -> None:
        """Count one more."""
        with self._changed:
            self._owners[calls] = owner

    def discard(self, calls: Calls) -> None:
        """It has ended."""
        with self._changed:
            self._owners.pop(calls, None)
            self._changed.notify_all()

    def require_few(self, owner: object) -> None:
        """ConnectionError where that owner, or the process, has too many of them, as any call may add another."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(owner), _TO_END_SECONDS):
                raise ConnectionError(f"{len(self._owners)} earlier calls still hang in the filesystem's library")

    def _has_room(self, owner: object) -> bool:
        of_owner = sum(one is owner for one in self._owners.values())
        return of_owner < MOST_LEFT and len(self._owners) < MOST_OF_PROCESS


left = _Left()
os.register_at_fork(after_in_child=left.reset)


def start(calls: Calls) -> threading.Thread:
    """Start the thread of one connection, which ends at the None among the calls."""
    thread = threading.Thread(target=_work, args=(calls,), name="fsspec", daemon=True)
    thread.start()
    return thread


def _work(calls: Calls) -> None:
    try:
        while (call := calls.get()) is not None:
            try:
                call.result = call.work()
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                call.error = error
            call.done.set()
            if call.is_late:
                discard(call.result)
            del call  # with what it has given, until the next one comes
    finally:
        left.discard(calls)


def discard(thing: Any) -> None:
    """Let go of a file or a filesystem, of a file without sending more, where it can do that. May not return."""
    with suppress(Exception):
        thing.discard()
        thing.closed = True  # or its finaliser would flush
        return
    with suppress(Exception):
        thing.close()
