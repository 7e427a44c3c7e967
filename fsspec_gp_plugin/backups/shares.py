"""Divides the work on one backup among shards by content id, so that each reads and lists only its share."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from ..integrity.contents import COORDINATOR, content_of, key_start, share_of
from ..integrity.object_names import is_plugins_own, parse_manifest_name
from ..keys import backup_prefix
from .named_objects import find_by_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..storage.contract import ObjectInfo, Store

# The only shard.
WHOLE = (0, 1)
# Objects of one piece, as far as it can be told in advance: its catalog takes some 100 MB of disk at most.
_MOST_IN_PIECE = 500_000
# Objects in one page of a listing.
_PAGE = 1000
# Shard 0 lists a backup of at most so many pages as a whole, and so finds objects of no known content id.
_FEW_PAGES = 1000
# A directory is not read more often than this in order to ask for the size of fewer files.
_MOST_SCANS = 10


class Piece(NamedTuple):
    """Objects of one backup that are looked at together: those of some content ids, or all if `contents` is None.

    `lists_all`: they are found by one listing of the whole backup. `known`: all content ids of the backup if objects of
    no known content id belong to this piece, too.
    """

    timestamp: str
    contents: frozenset[int] | None = None
    lists_all: bool = True
    known: frozenset[int] | None = None

    def has(self, name: str) -> bool:
        """Whether the object with this name below the backup's prefix belongs to it."""
        if is_plugins_own(name):
            return False
        if self.contents is None:
            return True
        content = content_of(name)
        return content in self.contents or (self.known is not None and content not in self.known)

    def list_objects(self, store: Store, named: Iterable[str] = ()) -> Iterator[ObjectInfo]:
        """List its objects. `named`: names in manifests; those of the coordinator that no listing of this piece finds
        are asked for one by one.
        """
        prefix = backup_prefix(self.timestamp)
        if self.lists_all or self.contents is None:
            return (info for info in store.find(prefix) if self.has(info.key[len(prefix) :]))
        return chain(self._list_by_prefix(store, prefix), find_by_name(store, self._others(prefix, named)))

    def _list_by_prefix(self, store: Store, prefix: str) -> Iterator[ObjectInfo]:
        for content in sorted(self.contents or ()):
            for info in store.find(prefix + key_start(content, self.timestamp)):
                name = info.key[len(prefix) :]
                if content_of(name) == content and not is_plugins_own(name):
                    yield info

    def _others(self, prefix: str, named: Iterable[str]) -> Iterator[str]:
        """The keys of those names that count as the coordinator's and do not begin like gpbackup's names for it."""
        if COORDINATOR in (self.contents or ()):
            start = key_start(COORDINATOR, self.timestamp)
            for name in named:
                if content_of(name) == COORDINATOR and not name.startswith(start):
                    yield prefix + name


class Share:
    """One shard's share of a backup: whole contents, or a part of one content. `part`: part I of N of the objects of
    these contents is this shard's.
    """

    def __init__(self, store: Store, timestamp: str, counts: Mapping[int, int], shard: tuple[int, int]) -> None:
        """`counts`: all content ids of the backup, with about how many objects each has."""
        found = share_of(counts, shard)
        self.part = next(iter(found.values()))
        self._timestamp = timestamp
        self._contents = sorted(found)
        self._counts = counts
        pages = sum(counts.values()) // _PAGE
        self._lists_all = pages <= max(len(found), _FEW_PAGES if shard[0] == 0 else 0) or (
            len(found) > _MOST_SCANS and not store.capabilities.lists_by_prefix
        )
        self._known = frozenset(counts) if shard[0] == 0 and self._lists_all else None

    def pieces(self) -> Iterator[Piece]:
        """Divide the share into pieces whose catalogs are not too large."""
        piece: list[int] = []
        objects = 0
        for content in self._contents:
            if piece and not self._lists_all and objects + self._counts[content] > _MOST_IN_PIECE:
                yield self._piece(piece)
                piece, objects = [], 0
            piece.append(content)
            objects += self._counts[content]
        yield self._piece(piece)

    def _piece(self, contents: Sequence[int]) -> Piece:
        return Piece(self._timestamp, frozenset(contents), self._lists_all, self._known)


def count_contents(manifests: Sequence[ObjectInfo], timestamp: str, segments: int = 0) -> dict[int, int] | None:
    """All content ids of a backup, by the names of its manifests and the number of segments that gpbackup names. With
    each, how many objects it has, if those of a manifest are spread evenly over its content ids.

    None if there are no manifests, or their names don't show the content ids of all their objects.
    """
    found = dict.fromkeys((COORDINATOR, *range(segments)), 0)
    start = len(backup_prefix(timestamp))
    for info in manifests:
        name = parse_manifest_name(info.key[start:])
        if name is None or name.contents is None:
            return None
        for content in name.contents:
            found[content] = found.get(content, 0) - (-(name.objects or 0) // len(name.contents))
    return found if manifests else None
