"""Finds backups at a target that may still run, and whether backups have changed since they were listed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import NotFound, StorageError, Unreachable
from ..keys import BACKUPS, is_backup_prefix, timestamp_of
from .backup_search import find_timestamps_of_day
from .survey import lists_uncounted, look_without_listing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..storage.contract import ObjectInfo, Store, Upload
    from .backup import Backup

_DAY = 86400.0
# An unfinished backup with a sign of life younger than this may still run.
_MAY_RUN = _DAY


def lists_for_signs(now: float) -> Callable[[Backup], bool]:
    """The `lists` of survey() that lists an unfinished backup until something shows that it may still run. `now`:
    seconds since 1970.
    """

    def lists(backup: Backup) -> bool:
        if lists_uncounted(backup):
            return True
        return not backup.counted and not backup.report_key and not is_recent(backup.last_sign, now)

    return lists


def find_running_without_claim(store: Store, backups: list[Backup], files: Iterable[ObjectInfo], now: float) -> str:
    """The timestamp of the latest backup without a claim that may still run. "" if there is none. `files`: working
    files at the target; `now`: seconds since 1970. Raises Unreachable.
    """
    by_listing = [
        backup.timestamp
        for backup in backups
        if not backup.report_key and not backup.claims and is_recent(backup.last_sign, now)
    ]
    # A backup with one stream for each segment shows only uploads or working files while it runs.
    known = {backup.timestamp for backup in backups if backup.report_key or backup.claims}
    by_file = [stamp for one in files if (stamp := _timestamp(one.key, known)) and is_recent(one.modified, now)]
    try:
        uploads = store.find_uploads(BACKUPS)
    except Unreachable:
        raise
    except StorageError:
        uploads = []
    by_upload = [stamp for one in uploads if (stamp := _timestamp(one.key, known)) and _may_be_written(store, one, now)]
    return max([*by_listing, *by_file, *by_upload], default="")


def _timestamp(key: str, known: set[str]) -> str:
    """The timestamp of the backup to which a key belongs. "" if it belongs to none, or to a known one."""
    prefix = "/".join(key.split("/")[:3]) + "/"
    stamp = timestamp_of(prefix) if is_backup_prefix(prefix) else ""
    return "" if stamp in known else stamp


def is_recent(sign: float | None, now: float) -> bool:
    """Whether an unfinished backup with this sign of life may still run. `sign`: seconds since 1970, or None."""
    return sign is not None and now - sign < _MAY_RUN


def _may_be_written(store: Store, upload: Upload, now: float) -> bool:
    if is_recent(upload.started, now):
        return True
    try:
        return is_recent(store.last_written(upload), now)
    except NotFound:
        return True  # the upload has just ended
    except Unreachable:
        raise
    except StorageError:
        return True  # it is unknown


class BackupWatch:
    """Notices backups that have begun or ended at a target since it was surveyed.

    It looks at the days from the one before the survey on: a backup's timestamp is the time when it began, by the clock
    of a coordinator that may be elsewhere.
    """

    def __init__(self, store: Store, since: float) -> None:
        """`since`: when the survey began, in seconds since 1970."""
        self._store = store
        self._since = since
        self._known: dict[str, tuple[bool, ...]] = {}

    def remember(self, backups: list[Backup], files: list[ObjectInfo]) -> None:
        """Keep the backups and working files of a survey, to compare with them later."""
        self._known.update(_states(backups, files))

    def has_changed(self) -> bool:
        """Whether a backup is new or has another state than before. Raises StorageErrors."""
        backups = []
        for day in sorted({_day(self._since + number * _DAY) for number in range(-1, self._days() + 2)}):
            found = (look_without_listing(self._store, one) for one in find_timestamps_of_day(self._store, day))
            backups += [backup for backup in found if backup is not None]
        return not _states(backups, []).items() <= self._known.items()

    def _days(self) -> int:
        return int((time.time() - self._since) // _DAY) + 1


def _states(backups: list[Backup], files: list[ObjectInfo]) -> dict[str, tuple[bool, ...]]:
    begun = {stamp: (False, False, False) for one in files if (stamp := _timestamp(one.key, set()))}
    return {**begun, **{one.timestamp: (one.has_contents, bool(one.report_key), bool(one.claims)) for one in backups}}


def _day(seconds: float) -> str:
    return time.strftime("%Y%m%d", time.localtime(seconds))
