"""Decrypts the chunks of a stream in a thread of its own, while the caller reads on and writes those before them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from ..age.header import DecryptionError
from ..age.payload import PLAIN_CHUNK, SEALED_CHUNK, TAG_SIZE
from ..workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from ..age.payload import PayloadKey

# Chunks that are decrypted at once: about 1 MiB.
_CHUNKS = 16
# So many times that may be decrypted before the first of them is written: with the one that is filled, 8 MiB of memory.
_AHEAD = 3


class _Batch(NamedTuple):
    """The memory of some chunks, before and after they are decrypted."""

    sealed: memoryview
    plain: memoryview


class _Opened(NamedTuple):
    """Chunks that were decrypted: how many plain bytes there are before the first chunk that is not genuine, and what
    is wrong with that one.
    """

    batch: _Batch
    size: int
    error: DecryptionError | None


class OpenedAhead:
    """The payload of one object in, its plain bytes out. A small object needs no thread."""

    def __init__(self, key: str, payload: PayloadKey) -> None:
        """`key`: the object's, for messages."""
        self._object = key
        self._payload = payload
        self._number = 0
        self._free: list[_Batch] = []
        self._batch = self._take_batch()
        self._filled = 0
        self._pool: Workers | None = None
        self._flying: deque[Future[_Opened]] = deque()

    def feed(self, piece: memoryview) -> Iterator[memoryview]:
        """The plain bytes of chunks that are known not to be the last one. Raises DecryptionError."""
        while piece:
            if self._filled == len(self._batch.sealed):
                self._send()
                if len(self._flying) > _AHEAD:
                    yield from self._take()
            count = min(len(piece), len(self._batch.sealed) - self._filled)
            self._batch.sealed[self._filled : self._filled + count] = piece[:count]
            self._filled += count
            piece = piece[count:]

    def finish(self) -> Iterator[memoryview]:
        """The rest. Raises DecryptionError, also where the payload ends too early."""
        while self._flying:
            yield from self._take()
        self.close()
        yield from self._release(self._open(self._batch, self._filled, self._number, is_end=True))

    def close(self) -> None:
        """End the thread."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _send(self) -> None:
        if self._pool is None:
            self._pool = Workers(1)
        self._flying.append(self._pool.submit(self._open, self._batch, self._filled, self._number, is_end=False))
        self._number += _CHUNKS
        self._batch, self._filled = self._take_batch(), 0

    def _take(self) -> Iterator[memoryview]:
        return self._release(self._flying.popleft().result())

    def _release(self, opened: _Opened) -> Iterator[memoryview]:
        if opened.size:
            yield opened.batch.plain[: opened.size]
        if opened.error is not None:
            raise opened.error
        self._free.append(opened.batch)

    def _take_batch(self) -> _Batch:
        if self._free:
            return self._free.pop()
        return _Batch(memoryview(bytearray(_CHUNKS * SEALED_CHUNK)), memoryview(bytearray(_CHUNKS * PLAIN_CHUNK)))

    def _open(self, batch: _Batch, filled: int, number: int, *, is_end: bool) -> _Opened:
        """Decrypt chunks in order, the first of them `number`. `is_end`: the last of them is that of the object."""
        at = size = 0
        try:
            while at < filled or (is_end and not at):
                sealed = batch.sealed[at : min(at + SEALED_CHUNK, filled)]
                at += SEALED_CHUNK
                # An empty chunk stands only where there is no other.
                if len(sealed) < TAG_SIZE or (len(sealed) == TAG_SIZE and number):
                    raise DecryptionError("it ends where no encrypted object can end")
                plain = batch.plain[size : size + len(sealed) - TAG_SIZE]
                self._payload.open(number, sealed, plain, is_last=is_end and at >= filled)
                size += len(plain)
                number += 1
        except DecryptionError as error:
            return _Opened(batch, size, DecryptionError(f"{self._object} can't be decrypted: {error}"))
        return _Opened(batch, size, None)
