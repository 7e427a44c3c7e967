"""Reads the lines of gzip members that follow one another, with a limit for every length: they may come from a hostile
bucket.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

GZIP = 31
_LONGEST_LINE = 64 << 10
_STEP = 64 << 10
# Bytes that one member may unpack to: more than 30 million objects.
_LARGEST_MEMBER = 2 << 30


class MemberLines:
    """Reads gzip members, one after another, from pieces. `packed`: bytes of the members that were read."""

    def __init__(
        self, pieces: Iterable[bytes], spend: Callable[[int], bool], error: Callable[[str], Exception]
    ) -> None:
        """`spend`: takes so many unpacked bytes, and returns whether they were left; `error`: makes the error that is
        raised, of the words that follow the object's name.
        """
        # In small pieces, because zlib copies the rest of a piece with each step.
        self._pieces = (piece[at : at + _STEP] for piece in pieces for at in range(0, len(piece), _STEP))
        self._spend = spend
        self._error = error
        self._piece = b""
        self.packed = 0

    def lines(self, longest_first: int = _LONGEST_LINE) -> Iterator[bytes]:
        """The lines of the next member. `longest_first`: bytes that the first line may have."""
        unpacking = zlib.decompressobj(wbits=GZIP)
        rest, longest, unpacked, taken = b"", longest_first, 0, 0
        while not unpacking.eof:
            self._piece = self._piece or next(self._pieces, b"")
            if not self._piece:
                raise self._error("is damaged: it does not end where it should")
            try:
                # In small steps: a few bytes may unpack to gigabytes.
                text = unpacking.decompress(self._piece, _STEP)
            except zlib.error:
                raise self._error("is damaged: it is no gzip file") from None
            left = unpacking.unused_data if unpacking.eof else unpacking.unconsumed_tail
            taken += len(self._piece) - len(left)
            self._piece = left
            unpacked += len(text)
            *whole, rest = (rest + text).split(b"\n")
            # A stream that takes bytes and gives none may have no end.
            is_too_large = max(unpacked, taken) > _LARGEST_MEMBER or not self._spend(len(text))
            for line in whole:
                if is_too_large or len(line) > longest:
                    break
                yield line
                longest = _LONGEST_LINE
            else:
                if not is_too_large and len(rest) <= longest:
                    continue
            raise self._error("is too large for a manifest")
        if rest:
            raise self._error("is damaged: it does not end where it should")
        self.packed += taken

    def require_end(self) -> None:
        """Raise the error if anything follows."""
        if self._piece or next(self._pieces, b""):
            raise self._error("is damaged: it does not end where it should")
