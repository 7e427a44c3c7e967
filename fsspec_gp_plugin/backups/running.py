"""Which backups may still run, as far as a target tells, and whether that has changed since it was last asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import NotFound, StorageError, Unreachable
from ..keys import BACKUPS, is_backup_prefix, timestamp_of
from .survey import listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..storage.contract import ObjectInfo, Store, Upload
    from .survey import Backup

_DAY = 86400.0
# What is not finished and shows a sign of life that is younger may still run.
_MAY_RUN = _DAY


def running_without_claim(store: Store, backups: list[Backup], files: Iterable[ObjectInfo], now: float) -> str:
    """The timestamp of a backup without a claim that may still run; "" without one. `files`: working files at the
    target; `now`: seconds since 1970. Unreachable.
    """
    by_listing = [
        backup.timestamp
        for backup in backups
        if not backup.report_key and not backup.claims and is_young(backup.last_sign, now)
    ]
    # A backup of one stream a segment shows nothing else for as long as it runs.
    known = {backup.timestamp for backup in backups if backup.report_key or backup.claims}
    by_file = [stamp for one in files if (stamp := _timestamp(one.key, known)) and is_young(one.modified, now)]
    try:
        uploads = store.find_uploads(BACKUPS)
    except Unreachable:
        raise
    except StorageError:
        uploads = []
    by_upload = [stamp for one in uploads if (stamp := _timestamp(one.key, known)) and _may_be_written(store, one, now)]
    return max([*by_listing, *by_file, *by_upload], default="")


def _timestamp(key: str, known: set[str]) -> str:
    """That of the backup to which a key belongs; "" if it is none, or a known one."""
    prefix = "/".join(key.split("/")[:3]) + "/"
    stamp = timestamp_of(prefix) if is_backup_prefix(prefix) else ""
    return "" if stamp in known else stamp


def is_young(sign: float | None, now: float) -> bool:
    """Whether a sign of life, in seconds since 1970, lets a backup that is not finished count as one that may run; None
    is no sign.
    """
    return sign is not None and now - sign < _MAY_RUN


def _may_be_written(store: Store, upload: Upload, now: float) -> bool:
    if is_young(upload.started, now):
        return True
    try:
        return is_young(store.last_written(upload), now)
    except NotFound:
        return True  # it has just come to its end
    except Unreachable:
        raise
    except StorageError:
        return True  # who may not ask can't tell


class Watch:
    """Sees which backups have begun at a target, or come to their end, since it was surveyed.

    It lists the days from the one before the survey on: a backup has the timestamp of its beginning, in the time of a
    coordinator that may be elsewhere.
    """

    def __init__(self, store: Store, since: float) -> None:
        """`since`: when the survey was begun, in seconds since 1970."""
        self._store = store
        self._since = since
        self._known: dict[str, tuple[bool, ...]] = {}

    def remember(self, backups: list[Backup], files: list[ObjectInfo]) -> None:
        """Take what a survey has told for what is known."""
        self._known.update(_states(backups, files))

    def sees_change(self) -> bool:
        """Whether there is a backup that was not there, or that has another state. StorageErrors."""
        files: list[ObjectInfo] = []
        backups = []
        for day in sorted({_day(self._since + number * _DAY) for number in range(-1, self._days() + 2)}):
            backups += listed(self._store, f"{BACKUPS}{day}/", files)
        return not _states(backups, files).items() <= self._known.items()

    def _days(self) -> int:
        return int((time.time() - self._since) // _DAY) + 1


def _states(backups: list[Backup], files: list[ObjectInfo]) -> dict[str, tuple[bool, ...]]:
    begun = {stamp: (False, False, False) for one in files if (stamp := _timestamp(one.key, set()))}
    return {**begun, **{one.timestamp: (one.has_contents, bool(one.report_key), bool(one.claims)) for one in backups}}


def _day(seconds: float) -> str:
    return time.strftime("%Y%m%d", time.localtime(seconds))
