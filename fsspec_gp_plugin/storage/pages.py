"""An iterator over the pages of a listing that keeps its place after an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .contract import Page

_Place = TypeVar("_Place")


class Pages(Generic[_Place]):
    """Calls `request` for page after page. `request` gets a place in the listing, and returns the page there and the
    next place, None after the last page. After an exception the next call requests the same page again.
    """

    def __init__(self, request: Callable[[_Place], tuple[Page, _Place | None]], first: _Place) -> None:
        """Makes no request yet."""
        self._request = request
        self._place: _Place | None = first

    def __iter__(self) -> Iterator[Page]:
        return self

    def __next__(self) -> Page:
        if self._place is None:
            raise StopIteration
        page, self._place = self._request(self._place)
        return page
