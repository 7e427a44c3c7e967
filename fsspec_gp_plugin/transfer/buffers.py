"""The buffers of one stream, and the memory that streams of one process share.

Memory is mapped, not allocated from the heap, so that it goes back to the system at once.
"""

from __future__ import annotations

import mmap
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


# No error has so many causes.
_MOST_CAUSES = 20


class Memory:
    """The memory that the buffers of all streams of a process share. Nobody waits here.

    A stream that gets no more goes on with the buffers that it has, at least one: so each makes progress, and the
    sum exceeds the limit by no more than one buffer a stream.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: bytes."""
        self.limit = limit
        self.taken = 0
        self._lock = threading.Lock()

    def take(self, size: int, *, required: bool) -> bool:
        """Count a new buffer of `size` bytes, if there is room or it is `required`."""
        with self._lock:
            if not required and self.taken + size > self.limit:
                return False
            self.taken += size
            return True

    def release(self, size: int) -> None:
        """Subtract the bytes of released buffers."""
        with self._lock:
            self.taken -= size


def release_frames(error: BaseException | None) -> None:
    """Clear the frames of an error's traceback, and those of its causes.

    They refer to buffers, and often to the error itself, and so would stay in memory until the garbage collector runs;
    in a process that has nothing to do, that may be never.
    """
    for _ in range(_MOST_CAUSES):
        if error is None:
            return
        calls = error.__traceback__
        while calls is not None:
            with suppress(RuntimeError):  # it has not ended yet
                calls.tb_frame.clear()
            calls = calls.tb_next
        error = error.__cause__ or error.__context__


class Buffers:
    """A bounded stock of equal buffers, reused."""

    def __init__(
        self,
        wait: Callable[[], None],
        wake: Callable[[], None],
        memory: Memory | None = None,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`wait` sleeps until `ring` is called, and raises when waiting on is pointless; `memory` is shared; `log` is
        called once if the system refuses memory.
        """
        self._wait = wait
        self._wake = wake
        self._memory = memory
        self._log = log
        self._has_logged = False
        self._lock = threading.Lock()
        self._free: list[mmap.mmap] = []
        self._out = 0
        self._taken = 0
        self._closed = False

    def take(self, size: int, most: int) -> mmap.mmap:
        """A buffer of `size` bytes, as soon as fewer than `most` are in use. Free buffers of another size are closed.

        Raises MemoryError where the system refuses even the first buffer.
        """
        while (buffer := self.take_now(size, most)) is None:
            self._wait()
        return buffer

    def take_now(self, size: int, most: int, *, required: bool = False) -> mmap.mmap | None:
        """A buffer if there is one now, else None. A required buffer is granted even when the shared memory is used up:
        without it the stream can't go on.
        """
        with self._lock:
            if self._out >= most:
                return None
            for old in [buffer for buffer in self._free if len(buffer) != size]:
                self._free.remove(old)
                self._count(-len(old))
                with suppress(BufferError):  # a call that failed still knows it, and lets go of it soon
                    old.close()
            if self._free:
                buffer = self._free.pop()
            elif self._memory is None or self._memory.take(size, required=required or not self._out):
                self._taken += size
                try:
                    buffer = mmap.mmap(-1, size)
                except OSError as error:
                    self._count(-size)
                    if not self._out:
                        raise MemoryError from error
                    self._log_refusal(size)
                    return None
            else:
                return None
            self._out += 1
            return buffer

    def _log_refusal(self, size: int) -> None:
        if not self._has_logged:
            self._has_logged = True
            self._log(
                f"the system refuses memory for another buffer of {size >> 10:,} KiB, so the stream goes on with "
                f"{self._out}, and slower"
            )

    def release(self, buffer: mmap.mmap) -> None:
        """Return a buffer that nobody uses any more."""
        with self._lock:
            self._out -= 1
            if not self._closed:
                self._free.append(buffer)
        self._wake()

    def close(self) -> None:
        """Give back the shared memory: the stream has ended. A buffer of a hanging request goes with it."""
        with self._lock:
            self._closed = True
            self._count(-self._taken)
            self._free.clear()

    def _count(self, change: int) -> None:
        self._taken += change
        if self._memory is not None:
            self._memory.release(-change)
