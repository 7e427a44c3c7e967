"""Finds and removes what unfinished and failed backups have left at a target."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, TypeVar

from ..errors import LocalFileError, PluginError, StorageError, Unreachable
from ..keys import BACKUPS, backup_prefix, is_backup_prefix, is_unfinished, timestamp_of
from .backup import Backup
from .backup_deletion import delete_backup
from .ownership import read_clusters, require_ended
from .parallel import run_each
from .restore_plans import read_plans
from .survey import survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..integrity.cluster import Cluster
    from ..private import Place
    from ..storage.contract import ObjectInfo, Store, Upload
    from .deletion_progress import DeletionProgress

_Keyed = TypeVar("_Keyed", "ObjectInfo", "Upload")

BACKUP, UPLOADS, WORKING_FILES = "backup", "uploads", "working files"
_LEFT = ("incomplete", "failed")
_EXACT_SECONDS = 2.0
_UPLOADS_AT_ONCE = 8
# Commands that gpbackup has started may outlive it for as long as they wait for a store.
_ENDING_SECONDS = 600.0


@dataclass
class Leftover:
    """Something that an unfinished or failed backup has left, and whether it may be removed.

    `what`: BACKUP, UPLOADS or WORKING_FILES below `prefix`. `state`: the state of a backup. `count`: how many objects;
    `size`: their bytes, None if unknown. `started`: when the latest was begun or written, in seconds since 1970, None
    if unknown. `has_ended`: gpbackup has written its report, which it does last. `stays`: why it must not be removed,
    "" if it may. `cluster`: the owner, "" if unknown. `is_over`: its gpbackup has certainly ended.
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
    """Find all leftovers. One that was begun or written later than `begun_before`, in seconds since 1970 by this host's
    clock, may still be written to, and stays. So does one of an unfinished backup with an upload or a working file of
    unknown age.

    `note` gets messages about what could not be looked for.
    """
    search = _Search(store, note)
    found = search.find_all()
    for one in found:
        _judge(one, begun_before)
    search.spare_needed(found)
    for one in found:
        if not one.stays:
            one.stays = search.read_last_parts(one, _limit(one, begun_before))
            if not one.stays:
                _judge(one, begun_before)
    return found


def find_leftovers_of_run(store: Store, timestamp: str, note: Callable[[str], None]) -> list[Leftover]:
    """Find the leftovers of one run, however young they are, as the caller knows that the run has ended. A backup that
    another one needs stays nevertheless.

    Raises PluginError if gpbackup has finished the backup, or may have. `note` gets messages, as in find_leftovers().
    """
    search = _Search(store, note, timestamp)
    for backup in search.backups:
        if backup.timestamp == timestamp and backup.state not in _LEFT:
            state = "is complete" if backup.state == "complete" else "may be complete, as its report can't be read"
            raise PluginError(f"the backup {timestamp} {state}; `delete_backup CONFIG {timestamp}` deletes it")
        if backup.timestamp == timestamp:
            require_ended(store, backup)
    found = [one for one in search.find_all() if one.prefix.startswith(backup_prefix(timestamp))]
    search.spare_needed(found)
    for one in found:
        search.read_last_parts(one, inf)  # for its age
    return found


class _Search:
    """The backups, uploads and working files at a target. All times are by this host's clock."""

    def __init__(self, store: Store, note: Callable[[str], None], only: str = "") -> None:
        """`only`: a timestamp; then objects, uploads and working files of this backup alone are looked for."""
        self._store = store
        self._files: list[ObjectInfo] = []

        def lists(backup: Backup) -> bool:
            return backup.state in _LEFT and only in ("", backup.timestamp)

        self.backups = survey(store, working_files=self._files, lists=lists)
        below = backup_prefix(only) if only else BACKUPS
        if not store.capabilities.lists_by_prefix:  # complete backups may have working files, too
            self._files = [info for info in store.find(below, unfinished=True) if is_unfinished(info.key)]
        try:
            # Uploads elsewhere in the bucket may belong to somebody else.
            self._uploads = store.find_uploads(below)
        except Unreachable:
            raise
        except StorageError as error:
            note(f"unfinished uploads could not be looked for: {error}")
            self._uploads = []
        ahead = store.clock_offset() or 0.0
        # Responses tell the store's clock to about a second.
        self._ahead = ahead if abs(ahead) > _EXACT_SECONDS else 0.0

    def find_all(self) -> list[Leftover]:
        """All unfinished and failed backups, and uploads and working files that belong to no such backup."""
        # A backup whose report can't be read may be complete.
        unfinished = [backup for backup in self.backups if backup.state in _LEFT]
        ended = {backup_prefix(backup.timestamp) for backup in self.backups if backup.report_key}
        clusters = read_clusters(self._store, unfinished)
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
        # A backup that has just been written to still runs, however long ago it began.
        begun = backup.time
        started = None if begun is None else max([begun, self._here(backup.written or 0.0), *below])
        return Leftover(
            BACKUP,
            prefix,
            backup.objects + len(backup.manifests) + len(backup.claims) + len(backup.marks),
            backup.size,
            backup.shown_state,
            backup.database,
            started,
            has_ended=bool(backup.report_key),
            cluster="" if cluster is None else str(cluster),
            is_over=backup.interrupted and backup.state == "incomplete",
        )

    def _here(self, time: float) -> float:
        return time - self._ahead

    def _latest(self, prefix: str) -> float | None:
        """When the latest upload below a prefix was begun. If that is unknown, the time of its backup counts."""
        begun = [
            _begun("/".join(one.key.split("/")[:3]) + "/") if one.started is None else self._here(one.started)
            for one in self._uploads
            if one.key.startswith(prefix)
        ]
        known = [one for one in begun if one is not None]
        return max(known) if len(known) == len(begun) else None

    def read_last_parts(self, left: Leftover, begun_before: float) -> str:
        """Let the last parts of uploads count as signs of life, until one is later than `begun_before`. Returns why the
        leftover stays if a last part can't be read, or gpbackup has not ended and an age is unknown; otherwise "".
        """
        is_unknown = any(one.modified is None and one.key.startswith(left.prefix) for one in self._files)
        if left.what != WORKING_FILES:
            uploads = (one for one in self._uploads if one.key.startswith(left.prefix))
            for upload, written in run_each(self._store.last_written, uploads, _UPLOADS_AT_ONCE):
                if isinstance(written, (StorageError, LocalFileError)):
                    return f"it is unknown when its last part arrived: {written}"
                if written is not None:
                    left.started = max(left.started or 0.0, self._here(written))
                    if left.started >= begun_before:
                        return ""
                elif upload.started is None:
                    is_unknown = True
        if not is_unknown or left.has_ended or not is_backup_prefix(left.prefix):
            return ""
        release = f"`cleanup CONFIG --run {timestamp_of(left.prefix)} --yes`"
        return f"the age of an upload there is unknown; when gpbackup has ended, {release} removes it"

    def spare_needed(self, found: list[Leftover]) -> None:
        """Keep what a complete incremental backup needs, whatever is wrong with it."""
        candidates = {timestamp_of(one.prefix): one for one in found if one.what == BACKUP and not one.stays}
        if not candidates:
            return
        contents = {backup.timestamp for backup in self.backups if backup.has_contents}
        for timestamp, plan in read_plans(self._store, self.backups).items():
            if plan is not None:
                why, needed = f"{timestamp}, an incremental backup, needs it", plan & candidates.keys()
            else:
                # A backup without a table of contents is of no use to others.
                why = f"it is unknown whether {timestamp} needs it"
                needed = frozenset(one for one in candidates if one in contents and one < timestamp)
            for one in needed:
                candidates[one].stays = why


def remove_leftover(store: Store, place: Place, left: Leftover, progress: DeletionProgress) -> str:
    """Remove a leftover. Returns what the store still keeps of it, or "". Raises StorageError if anything is left."""
    if left.what == BACKUP:
        return delete_backup(store, place, timestamp_of(left.prefix), lambda _: None, progress)[1]
    if left.what == UPLOADS:
        store.delete_unfinished(left.prefix)
    else:
        store.delete(left.keys)
        store.delete_empty_directories(left.prefix)
    return ""


def _limit(left: Leftover, begun_before: float) -> float:
    """The time after which something that was begun or written stays."""
    return max(begun_before, time.time() - _ENDING_SECONDS) if left.is_over else begun_before


def _judge(left: Leftover, begun_before: float) -> None:
    begun_before = _limit(left, begun_before)
    if left.started is None:
        left.stays = "its age is unknown"
    elif left.started >= begun_before:
        left.stays = "too young" if left.has_ended and left.what == BACKUP else "may still run"


def _by_directory(things: Iterable[_Keyed], besides: set[str]) -> dict[str, list[_Keyed]]:
    """Group by backup, otherwise by directory, what is not below one of the prefixes in `besides`."""
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
