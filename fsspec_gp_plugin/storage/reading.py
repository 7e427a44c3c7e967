"""Reads small objects, and small ranges of objects, into memory."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .contract import ObjectInfo, Store

_PIECE = 1 << 20


def read_pieces(store: Store, info: ObjectInfo, start: int = 0) -> Iterator[bytes]:
    """Yield the object's bytes from `start` on, a megabyte at a time."""
    buffer = bytearray(_PIECE)
    with memoryview(buffer) as view:
        for at in range(start, info.size, _PIECE):
            filled = 0
            for count in store.read(info, at, view[: min(_PIECE, info.size - at)]):
                filled += count
            yield bytes(view[:filled])


def fetch_start(store: Store, key: str) -> tuple[ObjectInfo, bytes]:
    """Return an object's info and its first megabyte, by one request where the store can."""
    return fetch_small(store, key, _PIECE)


def read_rest(store: Store, info: ObjectInfo, first: bytes) -> Iterator[bytes]:
    """Yield the bytes of an object of which fetch_start() has read the first."""
    return chain((first,), read_pieces(store, info, len(first)))


def split_lines(pieces: Iterable[bytes], longest: int = 64 << 10) -> Iterator[bytes]:
    """Yield the lines of a text that arrives in pieces, without their line ends, each cut after `longest` bytes."""
    rest = b""
    for piece in pieces:
        first, *more = piece.split(b"\n")
        rest += first[: longest - len(rest)]
        for line in more:
            yield rest
            rest = line[:longest]
    if rest:
        yield rest


def fetch_small(store: Store, key: str, most: int) -> tuple[ObjectInfo, bytes]:
    """Return an object's info and at most its first `most` bytes, by one request where the store can."""
    buffer = bytearray(most)
    with memoryview(buffer) as into:
        info, counts = store.fetch(key, into)
        return info, bytes(into[: sum(counts)])


def read_start(store: Store, info: ObjectInfo, most: int = 1 << 20) -> bytes:
    """Return at most the first `most` bytes of an object."""
    return read_range(store, info, 0, min(info.size, most))


def read_range(store: Store, info: ObjectInfo, start: int, end: int) -> bytes:
    """Return the object's bytes from `start` to before `end`."""
    buffer = bytearray(end - start)
    with memoryview(buffer) as view:
        for _ in store.read(info, start, view):
            pass
    return bytes(buffer)
