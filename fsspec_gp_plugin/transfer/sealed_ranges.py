"""Decrypts ranges of an encrypted object from those of its chunks that have a part of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..age.header import LARGEST_HEADER, DecryptionError, begins_like_header
from ..age.payload import NONCE_SIZE, PLAIN_CHUNK, SEALED_CHUNK, TAG_SIZE, count_chunks, plain_size
from .chunks import open_chunk, open_payload, read_header
from .ranged_read import require_within

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..age.opening import Opening
    from ..age.payload import PayloadKey
    from ..storage.contract import ObjectInfo, Store

# Bytes that an object's header and nonce have at the most, and mostly have fewer than.
LARGEST_START = LARGEST_HEADER + NONCE_SIZE
_SMALL_START = 4 << 10


def fetch_header(store: Store, key: str) -> tuple[ObjectInfo, bytes]:
    """Fetch an object's first bytes: of an encrypted one the header and the nonce, by one request unless the header is
    a large one.
    """
    start = memoryview(bytearray(_SMALL_START))
    info, counts = store.fetch(key, start)
    found = bytes(start[: sum(counts)])
    if begins_like_header(found):
        header = read_header(key, found)
        if header is None or len(found) < header.size + NONCE_SIZE:
            start = memoryview(bytearray(min(LARGEST_START, info.size)))
            found = bytes(start[: sum(store.read(info, 0, start))])
    return info, found


class SealedRanges:
    """Ascending ranges of the plain bytes of one object."""

    def __init__(self, key: str, payload: PayloadKey, size: int, start: int, ranges: Sequence[tuple[int, int]]) -> None:
        """`key` and `size`: of the object; `start`: where its first chunk begins. Raises DecryptionError if no
        encrypted object has that size.
        """
        self._object = key
        self._payload = payload
        self._start = start
        self._size = size - start
        try:
            self._chunks = count_chunks(self._size)
            self.plain_size = plain_size(self._size)
        except DecryptionError as error:
            raise DecryptionError(f"{key} can't be decrypted: {error}") from None
        self._ranges = [(begin, end) for begin, end in ranges if begin < end]
        self._runs: list[tuple[int, int]] = []
        for begin, end in self._ranges:
            first, last = begin // PLAIN_CHUNK, (end - 1) // PLAIN_CHUNK + 1
            if self._runs and first <= self._runs[-1][1]:
                self._runs[-1] = (self._runs[-1][0], max(self._runs[-1][1], last))
            else:
                self._runs.append((first, last))
        self._numbers = (number for first, last in self._runs for number in range(first, last))
        self._sealed = memoryview(bytearray(SEALED_CHUNK))
        self._filled = 0
        self._plain = memoryview(bytearray(PLAIN_CHUNK))
        self._number = next(self._numbers, -1)
        self._at = 0

    @classmethod
    def plan(cls, info: ObjectInfo, start: bytes, ranges: Sequence[tuple[int, int]], opening: Opening) -> SealedRanges:
        """The same for an object of which the first bytes are known, as many as LARGEST_START or those of the header.
        Raises LocalFileError for ranges that reach beyond its end.
        """
        header = read_header(info.key, start)
        if header is None or len(start) < header.size + NONCE_SIZE:
            raise DecryptionError(f"{info.key} can't be decrypted: it ends within its header")
        key, size = open_payload(info.key, opening, header, start)
        sealed = cls(info.key, key, info.size, size, ranges)
        require_within(info.key, sealed.plain_size, ranges)
        return sealed

    def stored_ranges(self) -> list[tuple[int, int]]:
        """The ranges of the stored object that must be fed, ascending."""
        return [
            (self._start + first * SEALED_CHUNK, self._start + min(last * SEALED_CHUNK, self._size))
            for first, last in self._runs
        ]

    def feed(self, piece: memoryview) -> Iterator[memoryview]:
        """The plain bytes of the ranges, as far as the chunks have arrived whole. Raises DecryptionError."""
        while piece:
            is_last = self._number == self._chunks - 1
            whole = self._size - self._number * SEALED_CHUNK if is_last else SEALED_CHUNK
            if not self._filled and len(piece) >= whole:
                sealed, piece = piece[:whole], piece[whole:]
            else:
                count = min(len(piece), whole - self._filled)
                self._sealed[self._filled : self._filled + count] = piece[:count]
                self._filled += count
                piece = piece[count:]
                if self._filled < whole:
                    return
                sealed, self._filled = self._sealed[:whole], 0
            plain = self._plain[: whole - TAG_SIZE]
            open_chunk(self._object, self._payload, self._number, sealed, plain, is_last=is_last)
            yield from self._cut(plain)
            self._number = next(self._numbers, -1)

    def finish(self) -> Iterator[memoryview]:
        """Nothing more."""
        return iter(())

    def _cut(self, plain: memoryview) -> Iterator[memoryview]:
        """What the ranges have of the present chunk."""
        before = self._number * PLAIN_CHUNK
        while self._at < len(self._ranges):
            begin, end = (min(max(0, at - before), len(plain)) for at in self._ranges[self._at])
            if begin < end:
                yield plain[begin:end]
            if self._ranges[self._at][1] > before + len(plain):
                return
            self._at += 1
