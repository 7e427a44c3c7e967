"""Encrypts and decrypts a stream, piece by piece and in order, in one thread and in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..age.header import LARGEST_HEADER, VERSION_LINE, DecryptionError, begins_like_header, parse_header
from ..age.payload import NONCE_SIZE, PLAIN_CHUNK, SEALED_CHUNK, TAG_SIZE, PayloadKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..age.header import Header
    from ..age.opening import Opening
    from ..age.sealing import Seal

# Plain bytes that are given at once.
_AT_ONCE = 4 * PLAIN_CHUNK


class Transform(Protocol):
    """Changes the bytes of a stream. What is yielded is valid until the next one is."""

    def feed(self, piece: memoryview) -> Iterator[memoryview]:
        """What the next bytes of the stream make possible to say of its other form."""
        ...

    def finish(self) -> Iterator[memoryview]:
        """The rest, after the last byte."""
        ...


class _Cutter:
    """Cuts a stream into chunks of `size` bytes. The last one stays in `rest`: only the next byte tells that a chunk is
    not the last one.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._held = memoryview(bytearray(size))
        self._filled = 0

    @property
    def rest(self) -> memoryview:
        return self._held[: self._filled]

    def cut(self, piece: memoryview) -> Iterator[memoryview]:
        """The chunks that the next bytes show not to be the last one."""
        while piece:
            if self._filled == self._size:
                yield self._held
                self._filled = 0
            if not self._filled and len(piece) > self._size:
                yield piece[: self._size]
                piece = piece[self._size :]
                continue
            count = min(len(piece), self._size - self._filled)
            self._held[self._filled : self._filled + count] = piece[:count]
            self._filled += count
            piece = piece[count:]


class ChunkSealer:
    """Plain bytes in, an encrypted object out."""

    def __init__(self, seal: Seal) -> None:
        """`seal`: the key and the header of the object."""
        self._start = seal.start
        self._key = seal.key
        self._number = 0
        self._cutter = _Cutter(PLAIN_CHUNK)
        self._sealed = memoryview(bytearray(SEALED_CHUNK))

    def feed(self, piece: memoryview) -> Iterator[memoryview]:
        """The header, and each chunk that is known not to be the last one."""
        yield from self._take_start()
        yield from map(self._seal, self._cutter.cut(piece))

    def finish(self) -> Iterator[memoryview]:
        """The last chunk, with the header if nothing was fed."""
        yield from self._take_start()
        yield self._seal(self._cutter.rest, is_last=True)

    def _take_start(self) -> Iterator[memoryview]:
        if self._start:
            start, self._start = self._start, b""
            yield memoryview(start)

    def _seal(self, plain: memoryview, *, is_last: bool = False) -> memoryview:
        sealed = self._sealed[: len(plain) + TAG_SIZE]
        self._key.seal(self._number, plain, sealed, is_last=is_last)
        self._number += 1
        return sealed


class ChunkOpener:
    """An object's stored bytes in, plain bytes out: those of chunks that were found to be genuine. A plain object comes
    out as it is where the opening allows it.
    """

    def __init__(self, key: str, opening: Opening) -> None:
        """`key`: the object's."""
        self._object = key
        self._opening = opening
        self._start: bytearray | None = bytearray()  # until the header has been read
        self._header: Header | None = None
        self._key: PayloadKey | None = None  # None for a plain object
        self._number = 0
        self._cutter = _Cutter(SEALED_CHUNK)
        self._plain = memoryview(bytearray(_AT_ONCE))

    def feed(self, piece: memoryview) -> Iterator[memoryview]:
        """The plain bytes of each chunk that is known not to be the last one. Raises DecryptionError."""
        if self._start is not None:
            before = len(self._start)
            self._start += piece[: LARGEST_HEADER + NONCE_SIZE - before]
            size = self._read_start(before)
            if size is None:
                return
            start, self._start = self._start, None
            if self._key is None:
                yield memoryview(start)[:before]
            else:
                piece = piece[size - before :]
        if self._key is None:
            yield piece
            return
        # Several chunks at once: each write wakes the reader.
        size = 0
        for sealed in self._cutter.cut(piece):
            if size + PLAIN_CHUNK > _AT_ONCE:
                yield self._plain[:size]
                size = 0
            try:
                size += self._open(sealed, size)
            except DecryptionError:
                yield self._plain[:size]
                raise
        yield self._plain[:size]

    def finish(self) -> Iterator[memoryview]:
        """The plain bytes of the last chunk. Raises DecryptionError if the object ends too early."""
        if self._start is not None:
            if is_sealed(self._object, self._start, self._opening):
                raise DecryptionError(f"{self._object} can't be decrypted: it ends within its header")
            yield memoryview(self._start)
        elif self._key is not None:
            rest = self._cutter.rest
            if len(rest) < TAG_SIZE or (len(rest) == TAG_SIZE and self._number):
                raise DecryptionError(f"{self._object} can't be decrypted: it ends where no encrypted object can end")
            yield self._plain[: self._open(rest, is_last=True)]

    def _read_start(self, before: int) -> int | None:
        """The size of all before the first chunk, 0 for a plain object; None while not enough has arrived. `before`:
        how many bytes have been looked at.
        """
        start = self._start
        if start is None or len(start) < len(VERSION_LINE):
            return None
        if not is_sealed(self._object, start, self._opening):
            return 0
        # Parsed again only where a line has ended: it may come byte by byte.
        if self._header is None and (b"\n" in start[before:] or len(start) >= LARGEST_HEADER):
            self._header = read_header(self._object, bytes(start), before)
        if self._header is None or len(start) < self._header.size + NONCE_SIZE:
            return None
        self._key, size = open_payload(self._object, self._opening, self._header, start)
        return size

    def _open(self, sealed: memoryview, at: int = 0, *, is_last: bool = False) -> int:
        """Decrypt the next chunk to a place of the buffer; returns how many bytes it has."""
        plain = self._plain[at : at + len(sealed) - TAG_SIZE]
        key = self._key
        if key is not None:
            open_chunk(self._object, key, self._number, sealed, plain, is_last=is_last)
        self._number += 1
        return len(plain)


def open_pieces(key: str, opening: Opening, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The plain bytes of a whole object, whose stored bytes arrive in pieces. Raises DecryptionError."""
    opener = ChunkOpener(key, opening)
    for piece in pieces:
        yield from map(bytes, opener.feed(memoryview(piece)))
    yield from map(bytes, opener.finish())


def is_sealed(key: str, start: bytes | bytearray, opening: Opening) -> bool:
    """Whether an object is encrypted, by its first bytes, at least as many as VERSION_LINE or all. Raises
    DecryptionError for a plain one in an encrypted backup.
    """
    if begins_like_header(start):
        return True
    if opening.is_encrypted and not opening.any_name:
        raise DecryptionError(
            f"{key} is not encrypted, but the claim says that its backup is: another object was put in its place"
        )
    return False


def read_header(key: str, start: bytes, searched: int = 0) -> Header | None:
    """The header of an object that begins like an encrypted one; None if it goes on beyond these bytes, of which so
    many were `searched` before. Raises DecryptionError, which names the key.
    """
    try:
        return parse_header(start, searched)
    except DecryptionError as error:
        raise DecryptionError(f"{key} can't be decrypted: {error}") from None


def open_payload(key: str, opening: Opening, header: Header, start: bytes | bytearray) -> tuple[PayloadKey, int]:
    """The key of an object's payload, and where its first chunk begins. `start`: the object's first bytes, at least
    the header and the nonce.
    """
    size = header.size + NONCE_SIZE
    return PayloadKey(opening.find_file_key(key, header), bytes(start[header.size : size])), size


def open_chunk(
    key: str, payload: PayloadKey, number: int, sealed: memoryview, plain: memoryview, *, is_last: bool
) -> None:
    """Decrypt one chunk. Raises DecryptionError, which names the key."""
    try:
        payload.open(number, sealed, plain, is_last=is_last)
    except DecryptionError as error:
        raise DecryptionError(f"{key} can't be decrypted: {error}") from None
