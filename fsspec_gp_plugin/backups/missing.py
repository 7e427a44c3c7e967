"""Finds which data objects of a backup are missing, and words it for messages."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from ..integrity.contents import COORDINATOR, content_of
from ..keys import backup_prefix

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ..storage.contract import ObjectInfo
    from .required import Required

ARCHIVED = "in the store's archive and can't be read now"
BY_MANIFESTS = "the target was compared with the backup's manifests"
BY_GPBACKUP = "the target was compared with gpbackup's config file and table of contents"


def count_message(count: int, total: int | None, state: str, first: str) -> str:
    """A sentence about `count` objects, all in the same state, of `total`, or of an unknown number.

    >>> count_message(1, 65, "missing", "KEY")
    '1 of 65 objects is missing: KEY'
    >>> count_message(4, 65, "missing", "KEY")
    '4 of 65 objects are missing, the first is KEY'
    >>> count_message(1, None, "in the archive", "KEY")
    '1 object is in the archive: KEY'
    """
    of = f"{count} object{'' if count == 1 else 's'}" if total is None else f"{count} of {total} objects"
    return f"{of} is {state}: {first}" if count == 1 else f"{of} are {state}, the first is {first}"


class DataSearch:
    """Which of a backup's required data objects have been found: a bit for each, for some content ids or for all."""

    def __init__(self, required: Required, contents: range | None = None) -> None:
        """Nothing is found yet. A content id that no segment of the backup had requires nothing."""
        self._required = required
        ids = range(required.segments) if contents is None else contents
        self._places = range(ids.start * required.each, min(ids.stop, required.segments) * required.each)
        self._bits = bytearray((len(self._places) + 7) // 8)
        self._found = 0

    def take(self, name: str) -> bool:
        """Count an object of that name as found. Returns whether it is required."""
        place = self._required.place(name)
        if place is None or place not in self._places:
            return False
        number = place - self._places.start
        if not self._is_found(number):
            self._bits[number >> 3] |= 1 << (number & 7)
            self._found += 1
        return True

    def has(self, name: str) -> bool:
        """Whether a required object of that name was found."""
        place = self._required.place(name)
        return place is not None and place in self._places and self._is_found(place - self._places.start)

    def _is_found(self, number: int) -> bool:
        return bool(self._bits[number >> 3] >> (number & 7) & 1)

    @property
    def total(self) -> int:
        """How many objects are required."""
        return len(self._places)

    @property
    def missing(self) -> int:
        """How many required objects were not found."""
        return len(self._places) - self._found

    def names_missing(self) -> Iterator[str]:
        """The names of the required objects that were not found. The first comes without a look at the others."""
        for number, place in enumerate(self._places):
            if not self._is_found(number):
                yield self._required.name(place)


class Search:
    """Which of the objects that a backup must have were found: of all, or of some content ids."""

    def __init__(self, required: Required, contents: Collection[int] | None = None) -> None:
        """Nothing is found yet. `contents`: the content ids, None for all."""
        self._start = len(backup_prefix(required.timestamp))
        self._files = set(required.files if contents is None or COORDINATOR in contents else ())
        self._whole = DataSearch(required) if contents is None else None
        self._parts = {one: DataSearch(required, range(one, one + 1)) for one in contents or () if one != COORDINATOR}
        self.total = len(self._files) + sum(one.total for one in self._searches())

    def _searches(self) -> Iterable[DataSearch]:
        return self._parts.values() if self._whole is None else [self._whole]

    def count_found(self, objects: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
        """The same objects, each counted as found."""
        for info in objects:
            name = info.key[self._start :]
            search = self._whole or self._parts.get(content_of(name))
            if search is None or not search.take(name):
                self._files.discard(name)
            yield info

    @property
    def missing(self) -> int:
        """How many objects were not found."""
        return len(self._files) + sum(one.missing for one in self._searches())

    def names_missing(self) -> Iterator[str]:
        """The names of the objects that were not found."""
        return chain(sorted(self._files), *(one.names_missing() for one in self._searches()))
