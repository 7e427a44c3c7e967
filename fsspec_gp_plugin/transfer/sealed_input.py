"""A stream that is encrypted on its way: its parts are laid out here, and encrypted in the threads that send them.

A part's buffer is filled with plain bytes, chunk by chunk, each where its encrypted bytes will be. A chunk that does
not fit into the rest of a buffer is encrypted here, and goes on in the next part: parts have any size.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ..age.payload import PLAIN_CHUNK, SEALED_CHUNK, TAG_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..age.payload import PayloadKey
    from ..age.sealing import Seal
    from .descriptor_io import InputStream


class _Chunk(NamedTuple):
    """A chunk that waits in a buffer: from where on, how many plain bytes, its number, whether it is the last one."""

    start: int
    size: int
    number: int
    is_last: bool


class SealedInput:
    """An InputStream's bytes, as they will be when they are encrypted."""

    def __init__(self, stream: InputStream, seal: Seal) -> None:
        """`stream`: the plain bytes."""
        self._stream = stream
        self._key = seal.key
        # Encrypted bytes that come next: the header, later the rest of a chunk.
        self._rest = memoryview(seal.start)
        self._number = 0
        self._ended = False
        # The first bytes of the next chunk: only they tell that a chunk is not the last one.
        self._ahead = memoryview(bytearray(PLAIN_CHUNK))
        self._read_ahead = 0
        self._split = memoryview(bytearray(PLAIN_CHUNK))
        self._waiting: list[_Chunk] = []

    def read(self, into: memoryview) -> int:
        """Fill some bytes, at least one, of an empty buffer; 0 at the end of the stream."""
        return self._step(into, 0)

    def fill(self, into: memoryview, filled: int = 0) -> int:
        """Fill a buffer until it is full or the stream ends; the count of bytes that it will have."""
        while filled < len(into) and (count := self._step(into, filled)):
            filled += count
        return filled

    def take_work(self) -> Callable[[memoryview], None]:
        """What makes the bytes of the buffer that was filled last the final ones. To be called once, in any thread."""
        waiting, self._waiting = self._waiting, []
        return partial(_seal, self._key, waiting)

    def _step(self, into: memoryview, filled: int) -> int:
        if not self._rest and not self._ended and len(into) - filled < SEALED_CHUNK:
            self._seal_split_chunk()
        if self._rest:
            count = min(len(self._rest), len(into) - filled)
            into[filled : filled + count] = self._rest[:count]
            self._rest = self._rest[count:]
            return count
        if self._ended:
            return 0
        chunk = self._read_chunk(into[filled : filled + PLAIN_CHUNK])
        self._waiting.append(chunk._replace(start=filled))
        return chunk.size + TAG_SIZE

    def _read_chunk(self, into: memoryview) -> _Chunk:
        into[: self._read_ahead] = self._ahead[: self._read_ahead]
        size = self._stream.fill(into, self._read_ahead)
        self._read_ahead = self._stream.read(self._ahead) if size == PLAIN_CHUNK else 0
        self._ended = not self._read_ahead
        self._number += 1
        return _Chunk(0, size, self._number - 1, self._ended)

    def _seal_split_chunk(self) -> None:
        chunk = self._read_chunk(self._split)
        self._rest = memoryview(bytearray(chunk.size + TAG_SIZE))
        self._key.seal(chunk.number, self._split[: chunk.size], self._rest, is_last=chunk.is_last)


def _seal(key: PayloadKey, chunks: Sequence[_Chunk], data: memoryview) -> None:
    """Encrypt the chunks of a buffer in their places."""
    copy = memoryview(bytearray(max((chunk.size for chunk in chunks), default=0)))
    for start, size, number, is_last in chunks:
        plain = copy[:size]
        plain[:] = data[start : start + size]
        key.seal(number, plain, data[start : start + size + TAG_SIZE], is_last=is_last)
