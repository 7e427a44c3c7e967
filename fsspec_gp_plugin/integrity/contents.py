"""Content ids: which objects belong to which, how a manifest's name shows them, and how work is shared by them."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# The coordinator's content id. Objects without a content id in their name count as the coordinator's.
COORDINATOR = -1
_NAME = re.compile(r"gpbackup_(0|[1-9][0-9]{0,5})_[0-9]{14}(?:_|\.|$)")
_GROUP = re.compile(r"(-1|0|[1-9][0-9]{0,5})(?:-(0|[1-9][0-9]{0,5}))?")
# More than any host has. Names of manifests with more would take too much memory.
MOST_OF_A_HOST = 2000


def content_of(name: str) -> int:
    """The content id of the segment whose object it is, by its name below the backup's prefix.

    >>> content_of("gpbackup_12_20260101120000_16384.gz"), content_of("gpbackup_20260101120000_toc.yaml")
    (12, -1)
    """
    match = _NAME.match(name)
    return COORDINATOR if match is None else int(match[1])


def key_start(content: int, timestamp: str) -> str:
    """How the names of gpbackup's objects of a content id begin."""
    return f"gpbackup_{timestamp}" if content == COORDINATOR else f"gpbackup_{content}_{timestamp}"


def format_contents(contents: Iterable[int]) -> str:
    """Content ids in a short form, without spaces and slashes.

    >>> format_contents([0, 1, 2, -1, 7])
    '-1_0-2_7'
    """
    groups = []
    for _, group in groupby(enumerate(sorted(set(contents) - {COORDINATOR})), lambda pair: pair[1] - pair[0]):
        ids = [content for _, content in group]
        groups.append(f"{ids[0]}" if len(ids) == 1 else f"{ids[0]}-{ids[-1]}")
    return "_".join([*(["-1"] if COORDINATOR in contents else []), *groups])


def parse_contents(text: str) -> tuple[int, ...]:
    """The content ids of what format_contents() made. Raises ValueError for other text."""
    found: list[int] = []
    for group in text.split("_") if text else ():
        match = _GROUP.fullmatch(group)
        if match is None or (match[2] and match[1] == "-1"):
            raise ValueError(f"{group!r} is not a range of content ids")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or (found and first <= found[-1]) or last - first + len(found) >= MOST_OF_A_HOST:
            raise ValueError(f"{group!r} is not a range of content ids")
        found += range(first, last + 1)
    return tuple(found)


def share_of(contents: Collection[int], shard: tuple[int, int]) -> dict[int, tuple[int, int]]:
    """The contents of part I of N, each with the part of its objects that is this part's. `contents`: all of them.

    With more parts than contents, several parts share a content. Together the parts have every object once.

    >>> share_of([-1, 0, 1], (0, 2)), share_of([-1, 0, 1], (1, 2)), share_of([-1, 0], (2, 3))
    ({-1: (0, 1), 1: (0, 1)}, {0: (0, 1)}, {-1: (1, 2)})
    """
    part, parts = shard
    ids = sorted(contents)
    if not ids or parts <= len(ids):
        return dict.fromkeys(ids[part::parts], (0, 1))
    place = part % len(ids)
    return {ids[place]: (part // len(ids), len(range(place, parts, len(ids))))}
