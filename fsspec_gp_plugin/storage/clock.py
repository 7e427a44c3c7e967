"""How far this host's clock is from the store's: signatures say when they were made, and stores look at that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .retry import bare

if TYPE_CHECKING:
    from .contract import Store


def clock_offset(store: Store) -> float | None:
    """Seconds by which the store's clock is ahead of this host's, by its last answer's Date, to about a second; None
    where no answer had one, or the store is none of HTTP.
    """
    from email.utils import parsedate_to_datetime

    heard: tuple[str, float] | None = getattr(bare(store), "heard", None)
    if heard is None:
        return None
    try:
        # Dates have whole seconds, so half a second is the best guess at the rest.
        return parsedate_to_datetime(heard[0]).timestamp() + 0.5 - heard[1]
    except (TypeError, ValueError):
        return None
