"""The object identifiers of a backup's tables, as a manifest lists them: one number a line, in ascending order. Each
but the first is its distance from the one before.
"""

from __future__ import annotations

import zlib
from array import array
from typing import TYPE_CHECKING, NamedTuple

from .member_lines import GZIP

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# At most this many oids are listed: a few megabytes.
MOST = 1_000_000
# More than the unpacked bytes of that many lines, each of at most 11 bytes.
LARGEST = 16 << 20
_LARGEST_OID = (1 << 32) - 1


class OidList(NamedTuple):
    """Where the list lies in a manifest: the place of its first byte, how many bytes they are, and of how many oids."""

    start: int
    packed: int
    oids: int


def pack(oids: Sequence[int]) -> bytes:
    """The list of sorted oids, as a gzip member."""
    packing = zlib.compressobj(6, wbits=GZIP)
    packed, last = bytearray(), 0
    for oid in oids:
        packed += packing.compress(b"%d\n" % (oid - last))
        last = oid
    return bytes(packed + packing.flush())


def parse(lines: Iterable[bytes], count: int) -> array[int]:
    """The sorted oids in the lines of a list. Raises ValueError unless they are so many, each larger than the last."""
    found, last = array("I"), 0
    for line in lines:
        # int() would also read spaces, signs and underscores.
        if not line.isdigit() or len(line) > 10 or len(found) == count:
            raise ValueError("not a list of oids")
        distance = int(line)
        last += distance
        if not distance or last > _LARGEST_OID:
            raise ValueError("not a list of oids")
        found.append(last)
    if len(found) != count:
        raise ValueError("not a list of oids")
    return found
