"""The manifests of a make-believe backup, made when they are read.

A listing tells their sizes, so all members of one kind of backup have the same size: a comment in the gzip header,
which readers skip, fills what is left.
"""

from __future__ import annotations

import json
import struct
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

from benchmarks.scale.rule import Backup, digits
from fsspec_gp_plugin import __version__
from fsspec_gp_plugin.integrity.entries import entry_line
from fsspec_gp_plugin.integrity.object_names import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.scale.rule import Shape
    from fsspec_gp_plugin.integrity.entries import Entry

_HEADER = b"\x1f\x8b\x08%c\0\0\0\0\0\xff"
_COMMENT = 0x10
_FORMAT = "fsspec_gp_plugin manifest"
_MOST_KEPT = 128


class Manifests:
    """The manifests of one backup by their names below its prefix."""

    def __init__(self, backup: Backup) -> None:
        self._backup = backup
        self._is_old = backup.shape.version == 1
        hosts = backup.hosts if backup.stage != "begun" else []
        self._hosts = {self._name(host): host for host in hosts}

    @property
    def names(self) -> Iterable[str]:
        return self._hosts

    def __contains__(self, name: object) -> bool:
        return name in self._hosts

    def _name(self, host: int) -> str:
        one = self._backup
        start = f"{FOLDER}{one.host_name(host)}.{one.mark(host)}-{digits(6, one.timestamp, host, 'manifest')}"
        if self._is_old:
            return f"{start}.manifest.gz"
        rows = one.rows(host)
        first, last = rows[0][0], rows[-1][0]
        contents = f"c{first}" if first == last else f"c{first}-{last}"
        return f"{start}.{contents}.{sum(row[1] for row in rows)}o.{sum(row[2] for row in rows)}b.manifest.gz"

    def size(self, name: str) -> int:
        """Known without making it."""
        return sum(self._sizes(self._hosts[name]))

    def read(self, name: str, start: int, end: int) -> bytes:
        """Bytes `start` to before `end`: only the members that they lie in are made."""
        host, found, at = self._hosts[name], b"", 0
        for number, size in enumerate(self._sizes(host)):
            first, last = max(start - at, 0), min(end - at, size)
            if first < last:
                found += self._piece(host, number)[first:last]
            at += size
        return found

    def _sizes(self, host: int) -> list[int]:
        """The sizes of the index and of each member; of an old manifest, which has no index, that of its only one."""
        if self._is_old:
            return [size_of_whole(self._backup, host)]
        return [len(self._index(host)), *(size_of_member(self._backup, row[0]) for row in self._backup.rows(host))]

    def _piece(self, host: int, number: int) -> bytes:
        if self._is_old:
            return made(self._backup, host, None)
        return made(self._backup, host, self._backup.rows(host)[number - 1][0]) if number else self._index(host)

    def _index(self, host: int) -> bytes:
        rows = [(content, size_of_member(self._backup, content), *rest) for content, *rest in self._backup.rows(host)]
        value = {**_header(self._backup, host, 2), "bytes": sum(row[3] for row in rows), "members": rows}
        return pack(json.dumps(value, separators=(",", ":")).encode() + b"\n")


def _header(backup: Backup, host: int, version: int) -> dict[str, object]:
    return {
        "format": _FORMAT,
        "version": version,
        "plugin": __version__,
        "timestamp": backup.timestamp,
        "host": backup.host_name(host),
        "claim": backup.claim,
        "mark": backup.mark(host),
        "created": int(backup.time) * 10**9,
        "checksum": "crc32c",
        "objects": sum(row[1] for row in backup.rows(host)),
    }


def pack(text: bytes, size: int = 0) -> bytes:
    """A member of a gzip file: as small as it gets, or of a given size."""
    packing = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = packing.compress(text) + packing.flush() + struct.pack("<II", zlib.crc32(text), len(text) & 0xFFFFFFFF)
    if not size:
        return _HEADER % 0 + body
    room = size - len(_HEADER % 0) - len(body) - 1
    if room < 0:
        raise RuntimeError(f"a manifest's member of {len(body)} bytes does not fit into {size}")
    return _HEADER % _COMMENT + b" " * room + b"\0" + body


def _text(backup: Backup, host: int, content: int | None) -> bytes:
    """The lines of a member. Without a content id: of a whole old manifest."""
    if content is not None:
        return _lines(backup.entries(content))
    entries = sorted(entry for row in backup.rows(host) for entry in backup.entries(row[0]))
    return json.dumps(_header(backup, host, 1)).encode() + b"\n" + _lines(entries)


def _lines(entries: Iterable[Entry]) -> bytes:
    return "".join([f"{entry_line(entry)}\n" for entry in entries]).encode()


_kept: dict[tuple[str, str, int, int | None], bytes] = {}


def made(backup: Backup, host: int, content: int | None) -> bytes:
    """A member, or a whole old manifest. The last ones are kept."""
    key = (backup.timestamp, backup.stage, host, content)
    found = _kept.get(key)
    if found is None:
        size = size_of_whole(backup, host) if content is None else size_of_member(backup, content)
        found = pack(_text(backup, host, content), size)
        while len(_kept) >= _MOST_KEPT:
            _kept.pop(next(iter(_kept)), None)
        _kept[key] = found
    return found


def size_of_member(backup: Backup, content: int) -> int:
    """The bytes of the member of one content id."""
    return _size(backup.shape, backup.number % backup.shape.chain, backup.stage, min(content, 0), is_whole=False)


def size_of_whole(backup: Backup, host: int) -> int:
    """The bytes of an old manifest."""
    return _size(backup.shape, backup.number % backup.shape.chain, backup.stage, min(host, 0), is_whole=True)


@lru_cache(256)
def _size(shape: Shape, kind: int, stage: str, first: int, *, is_whole: bool) -> int:
    """What is enough for all manifests, or members, of backups of one kind: of the coordinator, or of segment hosts.
    `first`: -1 for the coordinator's.
    """
    sample = Backup(shape, shape.timestamps[kind], kind, stage)
    last = shape.hosts - 1 if is_whole else shape.hosts * shape.segments - 1
    numbers = {-1} if first < 0 else {0, last // 2, last}
    texts = [_text(sample, number, None) if is_whole else _text(sample, 0, number) for number in numbers]
    largest = max(len(pack(text)) for text in texts)
    return largest + largest // 64 + 256
