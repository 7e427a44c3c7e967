"""Copies a stream to and from a file of a store: its bytes need no buffers of parts."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from ..checksum import crc32c
from ..errors import StorageError
from .descriptor_copy import DescriptorCopy
from .descriptor_io import input_failed, output_failed, widen_pipe
from .ranged_read import require_crc, require_within

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..age.opening import Opening
    from ..age.sealing import Seal
    from ..storage.contract import FileStore, FileWriter, ObjectInfo
    from .chunks import Transform
    from .descriptor_io import Alarm
    from .throttle import Throttle

# Bytes that are held back until the checksum has been compared.
TAIL = 4096


class FileCopying(NamedTuple):
    """How one stream is copied. `check` is called between steps and raises when going on is pointless; `checksum`:
    compute the CRC-32C of the stored bytes; `on_first_byte` is called just before the first bytes are written.
    """

    throttle: Throttle
    checksum: bool
    check: Callable[[], None] = lambda: None
    alarm: Alarm | None = None
    on_first_byte: Callable[[], None] = lambda: None

    def to_file(self, source: int, writer: FileWriter, seal: Seal | None) -> tuple[int, int | None]:
        """Copy all of a stream into a file of the store; returns its size in bytes and its CRC-32C. `seal`: what it is
        encrypted with, or None.
        """
        sealer = None
        if seal is not None:
            from .chunks import ChunkSealer

            sealer = ChunkSealer(seal)
        copying = DescriptorCopy(
            self.throttle,
            checksum=self.checksum,
            reading=input_failed,
            writing=writer.failed,
            check=self.check,
            alarm=self.alarm,
            sealer=sealer,
        )
        file = writer.open_file()
        try:
            copying.run(source, file)
            copying.finish(file)
        except BaseException:
            with suppress(OSError):
                os.close(file)
            raise
        try:
            os.close(file)  # network file systems tell here that a disk is full
        except OSError as error:
            raise writer.failed(error) from error
        return copying.written, copying.crc32c

    def from_file(
        self,
        store: FileStore,
        info: ObjectInfo,
        sink: int,
        ranges: Sequence[tuple[int, int]] | None = None,
        expected: ObjectInfo | None = None,
        opening: Opening | None = None,
    ) -> tuple[int, int | None]:
        """Copy a file of the store, or ranges of it, to a descriptor; returns how many bytes were written, and the
        CRC-32C of what was read. No thread is needed: the system reads ahead.

        The last bytes are held back until the checksum agrees with what is `expected`. `opening`: as of Download.
        """
        widen_pipe(sink)

        def reading(error: OSError) -> Exception:
            return StorageError(f"can't read {info.key}: {error.strerror}")

        file = store.open_file(info)
        try:
            opener, stored = _open_transform(file, info, ranges, opening)
            copying = DescriptorCopy(
                self.throttle,
                checksum=self.checksum,
                reading=reading,
                writing=output_failed,
                check=self.check,
                alarm=self.alarm,
                on_first_byte=self.on_first_byte,
                opener=opener,
            )
            tail_size = min(info.size, TAIL) if expected is not None and stored is None else 0
            for start, end in [(0, info.size - tail_size)] if stored is None else stored:
                os.lseek(file, start, os.SEEK_SET)
                copying.run(file, sink, end - start)
            tail = os.pread(file, tail_size, info.size - tail_size)
        except OSError as error:
            raise reading(error) from error
        finally:
            os.close(file)
        if len(tail) < tail_size:
            raise StorageError(f"can't read {info.key}: it ends {tail_size - len(tail)} bytes early")
        if copying.crc32c is not None and expected is not None:
            require_crc(info, crc32c(tail, copying.crc32c), expected.crc32c)
        if tail:
            copying.take(memoryview(tail), sink)
        copying.finish(sink)
        return copying.written, copying.crc32c


def _open_transform(
    file: int, info: ObjectInfo, ranges: Sequence[tuple[int, int]] | None, opening: Opening | None
) -> tuple[Transform | None, Sequence[tuple[int, int]] | None]:
    """What decrypts a file, None if it is plain; and the stored ranges to read, None for all of it."""
    if opening is not None:
        from .chunks import ChunkOpener, is_sealed
        from .sealed_ranges import LARGEST_START, SealedRanges

        start = os.pread(file, LARGEST_START, 0)
        if is_sealed(info.key, start, opening):
            if ranges is None:
                return ChunkOpener(info.key, opening), None
            sealed = SealedRanges.plan(info, start, ranges, opening)
            return sealed, sealed.stored_ranges()
    if ranges is not None:
        require_within(info.key, info.size, ranges)
    return None, ranges
