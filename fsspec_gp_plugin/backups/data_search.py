"""A search for the data objects that must be there of a backup: a bit for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .required import Required


class DataSearch:
    """Which of the data objects that must be there have been found; of some content ids, or of all."""

    def __init__(self, required: Required, contents: range | None = None) -> None:
        """Nothing is found yet. A content id that no segment of the backup had has nothing to be found."""
        self._required = required
        wanted = range(required.segments) if contents is None else contents
        self._places = range(wanted.start * required.each, min(wanted.stop, required.segments) * required.each)
        self._bits = bytearray((len(self._places) + 7) // 8)
        self._found = 0

    def take(self, name: str) -> bool:
        """An object of that name is there. Returns whether it must be."""
        place = self._required.place(name)
        if place is None or place not in self._places:
            return False
        number = place - self._places.start
        if not self._is_found(number):
            self._bits[number >> 3] |= 1 << (number & 7)
            self._found += 1
        return True

    def has(self, name: str) -> bool:
        """Whether an object that must be there was found."""
        place = self._required.place(name)
        return place is not None and place in self._places and self._is_found(place - self._places.start)

    def _is_found(self, number: int) -> bool:
        return bool(self._bits[number >> 3] >> (number & 7) & 1)

    @property
    def total(self) -> int:
        """How many must be there."""
        return len(self._places)

    @property
    def missing(self) -> int:
        """How many of them were not found."""
        return len(self._places) - self._found

    def names_missing(self) -> Iterator[str]:
        """The names of those, the first of them without a look at the others."""
        for number, place in enumerate(self._places):
            if not self._is_found(number):
                yield self._required.name(place)
