"""Descriptor to descriptor, where the store's objects are files: by the kernel where nobody needs to see the bytes."""

from __future__ import annotations

import mmap
import os
import stat
from typing import TYPE_CHECKING

from ..checksum import crc32c
from ..errors import StorageError
from .descriptor_io import wait_until_readable, wait_until_writable, write_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from .chunks import ChunkSealer, Transform
    from .descriptor_io import Alarm
    from .throttle import Throttle

# Small enough to stay in the processor's cache between the call that reads and the one that writes.
_BUFFER = 256 << 10
_STEP = 1 << 20


class DescriptorCopy:
    """Bytes on their way from one descriptor to another, counted, limited, and summed up where that is wanted."""

    def __init__(
        self,
        throttle: Throttle,
        *,
        checksum: bool,
        reading: Callable[[OSError], Exception],
        writing: Callable[[OSError], Exception],
        check: Callable[[], None] = lambda: None,
        alarm: Alarm | None = None,
        on_first_byte: Callable[[], None] = lambda: None,
        sealer: ChunkSealer | None = None,
        opener: Transform | None = None,
    ) -> None:
        """`reading` and `writing` make what is raised of an error of the source and of the sink. `check` is called
        between steps and raises when going on is pointless; `alarm` ends waits for descriptors that don't block.
        `on_first_byte` is called just before the first bytes are written. `sealer` encrypts, `opener` decrypts; the
        checksum is that of the encrypted bytes.
        """
        self.written = 0
        self.crc32c: int | None = 0 if checksum else None
        self._throttle = throttle
        self._reading = reading
        self._writing = writing
        self._check = check
        self._alarm = alarm
        self._on_first_byte = on_first_byte
        self._sealer = sealer
        self._transform = sealer or opener

    def run(self, source: int, sink: int, count: int | None = None) -> None:
        """Copy `count` bytes from where the source stands, or all there are until its end. Fewer raise StorageError."""
        left = count
        if self.crc32c is None and self._transform is None:
            left = self._by_kernel(source, sink, count)
        if left is None or left > 0:
            self._by_hand(source, sink, left)

    def _by_kernel(self, source: int, sink: int, count: int | None) -> int | None:
        """Returns what is left to copy by hand, None where that is "to the end"."""
        move = _splice if stat.S_ISFIFO(os.fstat(source).st_mode) else _sendfile
        while count is None or count > 0:
            self._check()
            wanted = self._throttle.allow(_STEP if count is None else min(count, _STEP))
            if not self.written:
                self._on_first_byte()
            try:
                moved = move(sink, source, wanted)
            except BlockingIOError:
                # It may mean either side; a file is always ready.
                wait_until_readable(source, self._alarm)
                wait_until_writable(sink, self._alarm)
                continue
            except OSError:
                # It can't copy between these two, or one of them fails: that one fails by hand again, and is known.
                return count
            if not moved:
                return 0 if count is None else self._ended(count)
            self._throttle.count(moved)
            self.written += moved
            count = None if count is None else count - moved
        return 0

    def _by_hand(self, source: int, sink: int, count: int | None) -> None:
        # Not closed by hand: an error on its way out still looks at it.
        whole = memoryview(mmap.mmap(-1, _BUFFER))
        while count is None or count > 0:
            self._check()
            wanted = self._throttle.allow(_BUFFER if count is None else min(count, _BUFFER))
            try:
                moved = os.readv(source, [whole[:wanted]])
            except BlockingIOError:
                wait_until_readable(source, self._alarm)
                continue
            except OSError as error:
                raise self._reading(error) from error
            if not moved:
                if count is not None:
                    self._ended(count)
                return
            with whole[:moved] as piece:
                self.take(piece, sink)
            self._throttle.count(moved)
            count = None if count is None else count - moved

    def take(self, piece: memoryview, sink: int) -> None:
        """Write bytes of the source that were read elsewhere."""
        if self.crc32c is not None and self._sealer is None:
            self.crc32c = crc32c(piece, self.crc32c)
        if self._transform is None:
            self._write(piece, sink)
            return
        for data in self._transform.feed(piece):
            self._write(data, sink)

    def finish(self, sink: int) -> None:
        """Write what is left when the source has ended."""
        if self._transform is not None:
            for data in self._transform.finish():
                self._write(data, sink)

    def _write(self, data: memoryview, sink: int) -> None:
        if data and not self.written:
            self._on_first_byte()
        if self.crc32c is not None and self._sealer is not None:
            self.crc32c = crc32c(data, self.crc32c)
        write_all(sink, data, self._writing, self._alarm)
        self.written += len(data)

    @staticmethod
    def _ended(missing: int) -> int:
        raise StorageError(f"can't read the object: it ends {missing} bytes early")


def _splice(sink: int, source: int, count: int) -> int:
    return os.splice(source, sink, count)


def _sendfile(sink: int, source: int, count: int) -> int:
    return os.sendfile(sink, source, None, count)
