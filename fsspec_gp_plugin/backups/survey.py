"""Tells of the backups at a target what the names of their objects and gpbackup's reports say, by a few requests each.

Of a backup, the plugin's own folder and the coordinator's files are looked at, and the report is read. The names of its
manifests say how many objects it has. Its objects are only listed if they don't, or if the caller wants it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..age.header import begins_like_header
from ..errors import NotFound, StorageError, Unreachable
from ..integrity.object_names import FOLDER, MARKS_FOLDER, parse_manifest_name
from ..integrity.verification import RESULTS_FOLDER
from ..keys import backup_prefix, is_unfinished
from ..storage.reading import fetch_small
from .backup import Backup
from .backup_search import find_timestamps
from .backup_summary import find_summary
from .gpbackup_files import parse_report
from .manifest_sums import cover_all_segments, sum_up
from .parallel import map_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..storage.contract import ObjectInfo, Store

# So many objects of a backup are listed to count them; a table shows `20,000+` if there are more.
MOST_COUNTED = 20_000
_BACKUPS_AT_ONCE = 8
_LARGEST_REPORT = 1 << 20


def lists_uncounted(backup: Backup) -> bool:
    """For survey(): list a backup whose manifests don't show how many objects it has, up to MOST_COUNTED objects."""
    return not backup.counted and backup.objects < MOST_COUNTED


def lists_all(backup: Backup) -> bool:
    """For survey(): list all objects of each backup."""
    del backup
    return True


def survey(
    store: Store,
    timestamp: str = "",
    working_files: list[ObjectInfo] | None = None,
    *,
    lists: Callable[[Backup], bool] = lists_uncounted,
) -> list[Backup]:
    """Look at all backups at a target, or at the one of a timestamp; the latest comes last.

    `lists`: whether to list the objects of a backup, and to go on with that, by what is known of it so far. Working
    files that are listed are added to `working_files` if it is given. An incomplete backup must be listed to be found
    if it has neither a claim nor any other object of this plugin or the coordinator.
    """
    timestamps = [timestamp] if timestamp else find_timestamps(store)
    found = map_all(lambda one: _look_at(store, one, working_files, lists), timestamps, _BACKUPS_AT_ONCE)
    return [backup for backup in found.values() if backup is not None]


def look_without_listing(store: Store, timestamp: str) -> Backup | None:
    """The backup of a timestamp by its claims and the coordinator's files, without its report and its other objects.
    None if nothing is there, not even a working file.
    """
    look = _Look(store, timestamp)
    look.find_claims()
    look.find_coordinator_files()
    if look.is_there or any(True for _ in store.find(look.prefix, unfinished=True)):
        return look.backup
    return None


def _look_at(
    store: Store, timestamp: str, working_files: list[ObjectInfo] | None, lists: Callable[[Backup], bool]
) -> Backup | None:
    look = _Look(store, timestamp)
    look.read_folder()
    look.find_coordinator_files()
    look.read_report()
    look.read_manifest_names()
    if lists(look.backup):
        look.list_objects(working_files, lists)
    return look.backup if look.is_there else None


class _Look:
    """A look at one backup. `is_there`: an object of it was found."""

    def __init__(self, store: Store, timestamp: str) -> None:
        self.backup = Backup(timestamp, counted=False)
        self.prefix = backup_prefix(timestamp)
        self.is_there = False
        self._store = store
        self._has_marks = False
        self._report_size = 0

    def read_folder(self) -> None:
        """List the plugin's folder, without the marks, as each host has one; and the results of `verify`."""
        folders: set[str] = set()
        for page in self._store.list_pages(self.prefix + FOLDER, shallow=True):
            folders.update(page.folders)
            for info in page.objects:
                self._take_own(info)
        self._has_marks = self.prefix + MARKS_FOLDER in folders
        if self.prefix + RESULTS_FOLDER in folders:
            for info in self._store.find(self.prefix + RESULTS_FOLDER):
                self._take_own(info)

    def find_claims(self) -> None:
        """Find the claims alone."""
        for info in self._store.find(f"{self.prefix}{FOLDER}claim."):
            self._take_own(info)

    def _take_own(self, info: ObjectInfo) -> None:
        if not info.key.endswith("/"):
            self.is_there = True
            self.backup.take_own(info)

    def find_coordinator_files(self) -> None:
        """Find the report and the table of contents."""
        start = f"{self.prefix}gpbackup_{self.backup.timestamp}_"
        contents, report = f"{start}toc.yaml", f"{start}report"
        for info in self._find_files(start, contents, report):
            self.is_there = True
            self.backup.see(info.modified)
            if info.key == contents:
                self.backup.has_contents = info.size > 0
            elif info.key == report and info.size:
                self.backup.report_key, self._report_size = info.key, info.size

    def _find_files(self, start: str, *keys: str) -> Iterator[ObjectInfo]:
        if self._store.capabilities.lists_by_prefix:
            yield from self._store.find(start)
            return
        for key in keys:  # a listing would read the whole directory, which may have millions of files
            try:
                yield self._store.stat(key)
            except NotFound:
                continue

    def read_report(self) -> None:
        """Read the report, or what the coordinator's manifest says of an encrypted one. If that fails, it stays
        empty.
        """
        if not 0 < self._report_size <= _LARGEST_REPORT:
            return
        backup = self.backup
        try:
            _, data = fetch_small(self._store, backup.report_key, self._report_size)
            if not begins_like_header(data):
                backup.report = parse_report(data.decode(errors="replace"))
                return
            backup.is_encrypted = True
            backup.summary = find_summary(self._store, backup.timestamp, backup.manifests, backup.claims)
        except Unreachable:
            raise
        except StorageError:
            return
        if backup.summary is not None:
            backup.report = dict(backup.summary.report)

    def read_manifest_names(self) -> None:
        """Find the hosts without a manifest, and count objects and bytes, by the names of the manifests."""
        backup = self.backup
        parsed = (parse_manifest_name(info.key[len(self.prefix) :]) for info in backup.manifests)
        names = [name for name in parsed if name is not None]
        if self._has_marks and cover_all_segments(names, backup.segment_count):
            # No host is missing, so the marks are not needed.
            backup.marks = sorted({(name.host, name.mark) for name in names})
        elif self._has_marks:
            for info in self._store.find(self.prefix + MARKS_FOLDER):
                self._take_own(info)
        is_whole = bool(backup.report_key) and backup.has_contents and not backup.hosts_without_manifest
        if is_whole and len(names) == len(backup.manifests) and (sums := sum_up(names)) is not None:
            backup.objects, backup.size = sums
            backup.counted = backup.by_names = True

    def list_objects(self, working_files: list[ObjectInfo] | None, lists: Callable[[Backup], bool]) -> None:
        """List the objects and count them, while `lists` is true."""
        backup = self.backup
        backup.objects = backup.size = 0
        backup.counted = backup.by_names = False
        for info in self._store.find(self.prefix, unfinished=working_files is not None):
            if is_unfinished(info.key):
                if working_files is not None:
                    working_files.append(info)
            elif not info.key.endswith("/"):
                if not lists(backup):
                    return
                self.is_there = True
                if not info.key.startswith(self.prefix + FOLDER):  # these are known already
                    backup.count(info)
        backup.counted = True
