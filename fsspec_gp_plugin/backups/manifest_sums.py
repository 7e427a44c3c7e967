"""Tells by the names of a backup's manifests how many objects and bytes it has, and whether all segments' are there."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ..integrity.contents import COORDINATOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..integrity.object_names import ManifestName


def cover_all_segments(names: Sequence[ManifestName], segments: int) -> bool:
    """Whether the manifests list objects of the coordinator and of each of so many segments."""
    found = {content for name in names for content in name.contents or ()}
    return segments > 0 and found.issuperset(range(COORDINATOR, segments))


def sum_up(names: Sequence[ManifestName]) -> tuple[int, int] | None:
    """How many objects all manifests of a backup list, and their bytes. None if the names don't tell: there are none,
    one is of version 1, or two of the same host may list the same objects.
    """
    hosts: dict[tuple[str, str], set[ManifestName]] = defaultdict(set)
    for name in names:
        # A hook that was run twice has left the same manifest twice: that counts once.
        hosts[name.host, name.mark].add(name)
    objects = size = 0
    for several in hosts.values():
        listed: set[int] = set()
        for name in several:
            if name.objects is None or name.size is None:
                return None
            if len(several) > 1 and (name.contents is None or not listed.isdisjoint(name.contents)):
                return None
            listed.update(name.contents or ())
            objects += name.objects
            size += name.size
    return (objects, size) if hosts else None
