"""Stores whose credentials end and can be obtained again, from a file that another program writes or from a service."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from .api import Store

# Many streams meet the same end at once; one of them obtains credentials for all.
_SECONDS_BETWEEN = 1.0
_S = TypeVar("_S", bound="Renewable")


class NoTokenError(Exception):
    """The identity is not known, or may not have a token."""


class NoTokenYetError(Exception):
    """Whoever gives tokens does not answer, or has none at the moment."""


class Renewable:
    """A store that can go on with the credentials of another one. What was begun with the old ones goes on, too.

    `finds_credentials`: they come from files, roles or services, not from the options.
    """

    def __init__(self, *, finds_credentials: bool) -> None:
        self.finds_credentials = finds_credentials
        self._renewing = threading.Lock()
        self._renewed = float("-inf")
        self._replaced: Callable[[], None] | None = None

    def credentials_end(self) -> float | None:
        """When the credentials end, in seconds since 1970, where that is known and nothing renews them before."""
        return None

    def renew(self, make: Callable[[], Store]) -> None:
        """Go on with the credentials of a new store of the same objects, unless that was just done.

        Raises what `make` does.
        """
        with self._renewing:
            if time.monotonic() - self._renewed < _SECONDS_BETWEEN:
                return
            fresh = make()
            if not isinstance(fresh, type(self)):
                fresh.close()
                return
            before, self._replaced = self._replaced, self._go_on_with(fresh)
            self._renewed = time.monotonic()
        # Not what was replaced now: requests may be under way there.
        if before is not None:
            before()

    def _go_on_with(self: _S, fresh: _S) -> Callable[[], None]:
        """Use the other's connections and credentials from now on; returns what closes one's own."""
        raise NotImplementedError

    def _close_replaced(self) -> None:
        """For close()."""
        if self._replaced is not None:
            self._replaced()
