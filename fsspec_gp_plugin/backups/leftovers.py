"""What backups that did not come to their end have left at a target."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, TypeVar

from ..errors import LocalFileError, PluginError, StorageError, Unreachable
from ..keys import BACKUPS, backup_prefix, is_backup_prefix, timestamp_of
from .deletion import delete_backup
from .ownership import clusters_of, require_ended
from .parallel import each
from .plans import plans_of
from .survey import Backup, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..integrity.cluster import Cluster
    from ..private import Place
    from ..storage.contract import ObjectInfo, Store, Upload

_Keyed = TypeVar("_Keyed", "ObjectInfo", "Upload")

BACKUP, UPLOADS, WORKING_FILES = "backup", "uploads", "working files"
_LEFT = ("incomplete", "failed")
_EXACT_SECONDS = 2.0
_UPLOADS_AT_ONCE = 8
# Commands that gpbackup has started may outlive it by the time for which they wait for a store.
_ENDING_SECONDS = 600.0


@dataclass
class Leftover:
    """One thing to be removed, and whether it may be.

    `what` is BACKUP, UPLOADS or WORKING_FILES below `prefix`; `state` is that of a backup; `count` is how many objects,
    `size` their bytes, as far as told. `started`: when the latest was begun or written, in seconds since 1970, or
    None where nothing tells. `has_ended`: whether gpbackup has written its report, which it does last. `stays`: why it
    is not to be removed, "" where it is. `cluster`: whose it is, "" where nothing tells. `is_over`: its gpbackup has
    certainly ended.
    """

    what: str
    prefix: str
    count: int
    size: int | None = None
    state: str = ""
    database: str = ""
    started: float | None = None
    has_ended: bool = False
    stays: str = ""
    keys: tuple[str, ...] = ()
    cluster: str = ""
    is_over: bool = False


def find_leftovers(store: Store, begun_before: float, note: Callable[[str], None]) -> list[Leftover]:
    """All of them. What was begun or written to later than `begun_before`, in seconds since 1970 by this host's clock,
    may still be written to, and stays; so does what gpbackup has not finished and has an upload, or a working file, of
    which nothing tells when it was begun or written to.

    `note` is told what could not be looked for.
    """
    search = _Search(store, note)
    found = search.all_of_them()
    for one in found:
        _judge(one, begun_before)
    search.spare_needed(found)
    for one in found:
        if not one.stays:
            one.stays = search.heed_last_parts(one, _limit(one, begun_before))
            if not one.stays:
                _judge(one, begun_before)
    return found


def leftovers_of(store: Store, timestamp: str, note: Callable[[str], None]) -> list[Leftover]:
    """Those of one run, however young: somebody knows that it has ended. What another backup needs stays all the same.

    PluginError where gpbackup has finished the backup, or nothing tells that it has not. `note` as above.
    """
    search = _Search(store, note)
    for backup in search.backups:
        if backup.timestamp == timestamp and backup.state not in _LEFT:
            known = "is complete" if backup.state == "complete" else "may be complete, as its report can't be read"
            raise PluginError(f"the backup {timestamp} {known}; `delete_backup CONFIG {timestamp}` deletes it")
        if backup.timestamp == timestamp:
            require_ended(store, backup)
    found = [one for one in search.all_of_them() if one.prefix.startswith(backup_prefix(timestamp))]
    search.spare_needed(found)
    for one in found:
        search.heed_last_parts(one, inf)  # for its age
    return found


class _Search:
    """What there is at a target. All times are by this host's clock."""

    def __init__(self, store: Store, note: Callable[[str], None]) -> None:
        self._store = store
        self._files: list[ObjectInfo] = []
        self.backups = survey(store, working_files=self._files)
        try:
            # Elsewhere in the bucket they may be somebody else's.
            self._uploads = store.find_uploads(BACKUPS)
        except Unreachable:
            raise
        except StorageError as error:
            note(f"unfinished uploads could not be looked for: {error}")
            self._uploads = []
        ahead = store.clock_offset() or 0.0
        # The store's answers tell its clock to about a second.
        self._ahead = ahead if abs(ahead) > _EXACT_SECONDS else 0.0

    def all_of_them(self) -> list[Leftover]:
        """All that gpbackup has not finished, or has failed, and what belongs to no backup."""
        # One whose report can't be read may be whole.
        unfinished = [backup for backup in self.backups if backup.state in _LEFT]
        ended = {backup_prefix(backup.timestamp) for backup in self.backups if backup.report_key}
        clusters = clusters_of(self._store, unfinished)
        found = [self._backup(backup, clusters.get(backup.timestamp)) for backup in unfinished]
        whole = {one.prefix for one in found}
        for prefix, group in _by_directory(self._uploads, whole).items():
            latest = self._latest(prefix)
            found.append(Leftover(UPLOADS, prefix, len(group), started=latest, has_ended=prefix in ended))
        for prefix, files in _by_directory(self._files, whole).items():
            written = [_begun(prefix) if one.modified is None else self._here(one.modified) for one in files]
            started = None if None in written else max(one or 0.0 for one in written)
            keys, size = tuple(one.key for one in files), sum(one.size for one in files)
            has_ended = prefix in ended
            found.append(
                Leftover(WORKING_FILES, prefix, len(files), size, started=started, has_ended=has_ended, keys=keys)
            )
        return sorted(found, key=lambda one: (one.prefix, one.what))

    def _backup(self, backup: Backup, cluster: Cluster | None) -> Leftover:
        prefix = backup_prefix(backup.timestamp)
        signs = [(one.key, one.started) for one in self._uploads] + [(one.key, one.modified) for one in self._files]
        below = [self._here(time) for key, time in signs if time is not None and key.startswith(prefix)]
        # What has just been written belongs to a backup that still runs, however long it has.
        began = backup.time
        started = None if began is None else max([began, self._here(backup.written or 0.0), *below])
        count = backup.objects + len(backup.manifests) + len(backup.claims) + len(backup.marks)
        whose = "" if cluster is None else str(cluster)
        has_ended = bool(backup.report_key)
        return Leftover(
            BACKUP,
            prefix,
            count,
            backup.size,
            backup.shown_state,
            backup.database,
            started,
            has_ended,
            cluster=whose,
            is_over=backup.interrupted and backup.state == "incomplete",
        )

    def _here(self, time: float) -> float:
        return time - self._ahead

    def _latest(self, prefix: str) -> float | None:
        """When the latest of all uploads below a prefix was begun; where the store doesn't tell, its backup's time
        counts.
        """
        begun = [
            _begun("/".join(one.key.split("/")[:3]) + "/") if one.started is None else self._here(one.started)
            for one in self._uploads
            if one.key.startswith(prefix)
        ]
        known = [one for one in begun if one is not None]
        return max(known) if len(known) == len(begun) else None

    def heed_last_parts(self, left: Leftover, begun_before: float) -> str:
        """Take the last parts of uploads for signs of life, until one is later than `begun_before`; returns why it
        stays where one can't be asked, and where gpbackup has not ended and nothing tells the age of one; else "".
        """
        is_unknown = any(one.modified is None and one.key.startswith(left.prefix) for one in self._files)
        if left.what != WORKING_FILES:
            uploads = (one for one in self._uploads if one.key.startswith(left.prefix))
            for upload, written in each(self._store.last_written, uploads, _UPLOADS_AT_ONCE):
                if isinstance(written, (StorageError, LocalFileError)):
                    return f"nothing tells when its last part arrived: {written}"
                if written is not None:
                    left.started = max(left.started or 0.0, self._here(written))
                    if left.started >= begun_before:
                        return ""
                elif upload.started is None:
                    is_unknown = True
        if not is_unknown or left.has_ended or not is_backup_prefix(left.prefix):
            return ""
        release = f"`cleanup CONFIG --run {timestamp_of(left.prefix)} --yes`"
        return f"nothing tells the age of an upload there; when gpbackup has ended, {release} removes it"

    def spare_needed(self, found: list[Leftover]) -> None:
        """What a complete incremental backup builds upon stays, whatever is wrong with it."""
        candidates = {timestamp_of(one.prefix): one for one in found if one.what == BACKUP and not one.stays}
        if not candidates:
            return
        contents = {backup.timestamp for backup in self.backups if backup.has_contents}
        for timestamp, plan in plans_of(self._store, self.backups).items():
            if plan is not None:
                why, builds_upon = f"{timestamp}, an incremental backup, needs it", plan & candidates.keys()
            else:
                # Without a table of contents it is of no use to another.
                why = f"nothing tells whether {timestamp} needs it"
                builds_upon = frozenset(one for one in candidates if one in contents and one < timestamp)
            for one in builds_upon:
                candidates[one].stays = why


def remove(store: Store, place: Place, left: Leftover, note: Callable[[str], None]) -> str:
    """Remove it; returns "" or what the store still keeps of it, as text. StorageError where anything is left.

    `note` is told, as text, what was found on the way.
    """
    if left.what == BACKUP:
        return delete_backup(store, place, timestamp_of(left.prefix), note)[1]
    if left.what == UPLOADS:
        store.delete_unfinished(left.prefix)
    else:
        store.delete(left.keys)
        store.delete_empty_directories(left.prefix)
    return ""


def _limit(left: Leftover, begun_before: float) -> float:
    """What was begun or written to later than this stays."""
    return max(begun_before, time.time() - _ENDING_SECONDS) if left.is_over else begun_before


def _judge(left: Leftover, begun_before: float) -> None:
    begun_before = _limit(left, begun_before)
    if left.started is None:
        left.stays = "nothing tells its age"
    elif left.started >= begun_before:
        left.stays = "too young" if left.has_ended and left.what == BACKUP else "may still run"


def _by_directory(things: Iterable[_Keyed], besides: set[str]) -> dict[str, list[_Keyed]]:
    """Group what does not lie below one of some prefixes by backup, else by directory."""
    groups: dict[str, list[_Keyed]] = defaultdict(list)
    for one in things:
        prefix = "/".join(one.key.split("/")[:3]) + "/"
        if not is_backup_prefix(prefix):
            prefix = one.key[: one.key.rfind("/") + 1]
        if prefix not in besides:
            groups[prefix].append(one)
    return groups


def _begun(prefix: str) -> float | None:
    return Backup(timestamp_of(prefix)).time if is_backup_prefix(prefix) else None
