"""Writes manifests; manifest.py describes their form."""

from __future__ import annotations

import json
import time
import zlib
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import __version__, private
from .contents import content_of
from .entries import entry_line
from .manifest import FORMAT, VERSION
from .member_lines import GZIP
from .object_names import new_manifest_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .entries import Entry


class Packed(NamedTuple):
    """A manifest: its name below the backup's prefix, and its bytes."""

    name: str
    data: bytes


class PackedSummary(NamedTuple):
    """What a manifest says of gpbackup's encrypted files: the JSON in its index, and the list of the tables' oids as
    oid_list.py packs it, with how many they are; b"" without a list.
    """

    value: Mapping[str, Any]
    oids: bytes = b""
    tables: int = 0


def pack(
    timestamp: str, entries: Iterable[Entry], claim: str = "", mark: str = "", summary: PackedSummary | None = None
) -> Packed:
    """A manifest of these entries of this host, which must be sorted by content id and name; only packed bytes are kept
    in memory. `claim`: the claim's token; `mark`: the id of the host's mark. Raises ValueError for another order.
    """
    members = bytearray()
    rows: list[tuple[int, int, int, int]] = []
    for content, group in groupby(entries, lambda one: content_of(one.name)):
        if rows and rows[-1][0] >= content:
            raise ValueError("the entries are not sorted by content id")
        start, objects, size = len(members), 0, 0
        packing = zlib.compressobj(6, wbits=GZIP)
        for one in group:
            members += packing.compress(entry_line(one).encode() + b"\n")
            objects, size = objects + 1, size + one.size
        members += packing.flush()
        rows.append((content, len(members) - start, objects, size))
    objects, size = sum(row[2] for row in rows), sum(row[3] for row in rows)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "plugin": __version__,
        "timestamp": timestamp,
        "host": private.host(),
        "claim": claim,
        "mark": mark,
        "created": time.time_ns(),
        "checksum": "crc32c",
        "objects": objects,
        "bytes": size,
        "members": rows,
        **({} if summary is None else {"summary": summary.value}),
        **({"oids": [summary.tables, len(summary.oids)]} if summary is not None and summary.oids else {}),
    }
    packing = zlib.compressobj(6, wbits=GZIP)
    index = packing.compress(json.dumps(header, separators=(",", ":")).encode() + b"\n") + packing.flush()
    members += summary.oids if summary is not None else b""
    return Packed(new_manifest_name([row[0] for row in rows], objects, size, mark), index + members)
