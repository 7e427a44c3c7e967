"""Reads manifests from a store: of each only the members that are wanted, by one or two requests, several at a time."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from ..integrity import manifest
from ..integrity.object_names import parse_manifest_name
from ..keys import backup_prefix
from ..storage.reading import fetch_small, read_range
from .parallel import run_all

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from ..integrity.entries import Entry
    from ..integrity.merging import Manifest
    from ..storage.contract import ObjectInfo, Store

# Bytes of the first request: the index of any host, and all of a small manifest.
_FIRST = 64 << 10
# Bytes of a manifest that are kept in memory until they are decoded. More are read when they are needed.
_KEPT = 4 << 20
_PIECE = 1 << 20
_AT_ONCE = 4


def know_contents(manifests: Iterable[ObjectInfo], timestamp: str) -> bool:
    """Whether these manifests of a backup can be read by content id: none of them is of version 1."""
    start = len(backup_prefix(timestamp))
    names = (parse_manifest_name(info.key[start:]) for info in manifests)
    return all(name is not None and name.objects is not None for name in names)


def select_by_contents(manifests: Iterable[ObjectInfo], timestamp: str, contents: Collection[int]) -> list[ObjectInfo]:
    """Those manifests of a backup that list objects of these content ids, or may do so."""
    start = len(backup_prefix(timestamp))
    named = ((info, parse_manifest_name(info.key[start:])) for info in manifests)
    return [
        info
        for info, name in named
        if name is None or name.contents is None or not set(contents).isdisjoint(name.contents)
    ]


def read_manifests(
    store: Store, timestamp: str, manifests: Sequence[ObjectInfo], contents: Collection[int] | None = None
) -> Iterator[Manifest]:
    """Yield the key of each manifest, with its header and entries, to be read at once. `contents`: the content ids that
    are wanted, None for all; a manifest of version 1 gives all its entries. Raises BadManifest.
    """
    budget = manifest.Budget()
    opened = run_all(lambda info: OpenedManifest(store, info, timestamp, contents), iter(manifests), _AT_ONCE)
    for info, one in opened:
        yield info.key, one.lines(budget)


class OpenedManifest:
    """A manifest of which the index was read, and so much of what is wanted as fits into memory."""

    def __init__(self, store: Store, info: ObjectInfo, timestamp: str, contents: Collection[int] | None = None) -> None:
        """Reads from the store. Raises BadManifest."""
        self._store = store
        self._timestamp = timestamp
        # Bytes of the manifest in memory, and where they begin in it.
        self._start = 0
        self._info, self._data = fetch_small(store, info.key, _FIRST)
        self.header = manifest.decode_index(info.key, timestamp, self._pieces(0, self._info.size))
        members = self.header.members
        if members is None:
            self._wanted: list[manifest.Member] = []
            start, end = 0, self._info.size
        else:
            if self.header.end not in (0, self._info.size):
                raise manifest.BadManifest(f"{info.key} is damaged: its members don't end where it does")
            self._wanted = [one for one in members if contents is None or one.content in contents]
            start = self._wanted[0].start if self._wanted else 0
            end = self._wanted[-1].start + self._wanted[-1].packed if self._wanted else 0
        # What lies between two wanted members is read, too, rather than by another request.
        if len(self._data) < end <= start + _KEPT:
            self._data = b"".join(self._pieces(start, end))
            self._start = start

    def lines(self, budget: manifest.Budget) -> Iterator[manifest.Header | Entry]:
        """The header, then the wanted entries. Raises BadManifest."""
        key = self._info.key
        if self.header.members is None:
            yield from manifest.decode(key, self._timestamp, self._pieces(0, self._info.size), budget)
            return
        yield self.header
        for member in self._wanted:
            pieces = self._pieces(member.start, member.start + member.packed)
            yield from manifest.decode_member(key, member, pieces, budget)

    def oids(self) -> array[int]:
        """The oids of the tables that it lists, empty if it lists none. Raises BadManifest."""
        listed = self.header.oids
        if listed is None:
            return array("I")
        return manifest.decode_oids(self._info.key, listed, self._pieces(listed.start, listed.start + listed.packed))

    def _pieces(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` to before `end`, those in memory first."""
        kept = self._start + len(self._data)
        if self._start <= start < kept:
            yield self._data[start - self._start : end - self._start]
            start = kept
        for at in range(start, end, _PIECE):
            yield read_range(self._store, self._info, at, min(at + _PIECE, end))
