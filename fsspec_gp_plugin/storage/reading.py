"""Small objects, read as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .api import ObjectInfo, Store

_PIECE = 1 << 20


def pieces(store: Store, info: ObjectInfo) -> Iterator[bytes]:
    """An object's bytes, a megabyte at a time."""
    buffer = bytearray(_PIECE)
    with memoryview(buffer) as view:
        for start in range(0, info.size, _PIECE):
            filled = 0
            for count in store.read(info, start, view[: min(_PIECE, info.size - start)]):
                filled += count
            yield bytes(view[:filled])
