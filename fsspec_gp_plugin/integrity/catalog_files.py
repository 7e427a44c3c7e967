"""Names and removes the files of catalogs on this host, and the records beside them."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from .. import private

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..private import Place

DIRECTORY = "manifests"
# The end of the purpose of a catalog that a restore without a setup hook has made.
FETCHED = ".fetched"
SUFFIX = ".db"
# The end of a record of the backup's claim, which is kept and removed with the catalogs.
CLAIM = ".claim"
_PURPOSES = re.compile(r"(\.c-?[0-9]+)?(\.fetched)?(?:\.db(\.lock)?|(\.claim))")


def purpose_of(content: int) -> str:
    """The purpose of a catalog of one content id."""
    return f".c{content}"


def remove_catalogs(place: Place, timestamp: str, *, fetched_only: bool = False) -> None:
    """Remove all catalogs of a backup and records of its claim, or only those that restores without a setup hook have
    made. Raises LocalFileError.
    """
    _remove(place, timestamp, lambda match: bool(match[2]) or not fetched_only)


def remove_outdated(place: Place, timestamp: str, *, by_content: bool, fetched: bool) -> None:
    """Remove the catalogs of a backup that earlier restores made of all content ids, if catalogs are made `by_content`
    now, otherwise those of single ones. `fetched`: those without a setup hook. Raises LocalFileError.
    """

    def is_removed(match: re.Match[str]) -> bool:
        is_catalog = not match[3] and not match[4]
        return is_catalog and bool(match[1]) != by_content and bool(match[2]) == fetched

    _remove(place, timestamp, is_removed)


def _remove(place: Place, timestamp: str, is_removed: Callable[[re.Match[str]], bool]) -> None:
    with suppress(private.NoDirectoryError), private.opened_directory(place, DIRECTORY) as directory:
        start = place.name_of(timestamp)
        for name in os.listdir(directory):
            match = _PURPOSES.fullmatch(name[len(start) :]) if name.startswith(start) else None
            if match is not None and is_removed(match):
                private.unlink_in(directory, name)
