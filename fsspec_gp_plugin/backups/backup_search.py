"""Finds the backups at a target by shallow listings, which cost a request a day and one more: no object is listed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..keys import BACKUPS, is_backup_prefix, timestamp_of
from .parallel import map_all

if TYPE_CHECKING:
    from ..storage.contract import Store

_DAYS_AT_ONCE = 8
_DAY = re.compile(re.escape(BACKUPS) + r"([0-9]{8})/")


def find_timestamps(store: Store) -> list[str]:
    """The timestamps of all backups at a target, sorted. On a disk, the directory of one may be empty."""
    days = [match[1] for folder in _folders(store, BACKUPS) if (match := _DAY.fullmatch(folder))]
    found = map_all(lambda day: find_timestamps_of_day(store, day), days, _DAYS_AT_ONCE)
    return sorted(timestamp for timestamps in found.values() for timestamp in timestamps)


def find_timestamps_of_day(store: Store, day: str) -> list[str]:
    """The timestamps of all backups of one day, YYYYMMDD, as find_timestamps()."""
    return [timestamp_of(folder) for folder in _folders(store, f"{BACKUPS}{day}/") if is_backup_prefix(folder)]


def _folders(store: Store, prefix: str) -> set[str]:
    return {folder for page in store.list_pages(prefix, shallow=True) for folder in page.folders}
