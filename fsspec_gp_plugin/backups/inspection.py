"""Compares a backup's listing with its manifests and gpbackup's own files, and reports what is wrong.

It finds objects that are missing, and objects of which no manifest says how they must be.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import AccessDenied, StorageError, Unreachable
from ..integrity.catalog import Catalog
from ..integrity.manifest import BadManifest
from ..integrity.object_names import is_plugins_own
from ..keys import backup_prefix
from . import catalog_build
from .gpbackup_files import backup_config_name
from .missing import ARCHIVED, BY_GPBACKUP, BY_MANIFESTS, DataSearch, count_message
from .ownership import Ownership, read_ownership
from .required import read_required
from .restore_plans import why_not_restorable
from .survey import Backup, survey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..integrity.entries import Entry
    from ..integrity.listings import Comparison
    from ..private import Place
    from ..storage.contract import ObjectInfo, Store
    from .gpbackup_files import BackupConfig
    from .required import Required

_NOT_FINISHED = {
    "incomplete": "gpbackup did not finish this backup, so it is unknown what must be there",
    "failed": "gpbackup's report says that this backup failed, so it is unknown what must be there",
    "unknown": "its report can't be read, so it is unknown whether gpbackup finished it",
}


@dataclass
class Inspection:
    """What was found about one backup. `right`: how many objects agree with their manifests; `size`: their bytes.
    `problems`: what is wrong, one line for each; `reasons`: why not everything could be checked, one line for each.

    Numbers of objects: `missing`; `resized`, of another size; `archived`, which can't be read now; `not_checked`, in no
    manifest. `needs`: the backups that it needs.
    """

    right: int = 0
    size: int = 0
    problems: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    missing: int = 0
    resized: int = 0
    archived: int = 0
    not_checked: int = 0
    needs: list[str] = field(default_factory=list)
    ownership: Ownership = field(default_factory=Ownership)

    @property
    def result(self) -> str:
        """`failed` if something is wrong, otherwise `unchecked` if not everything could be checked, otherwise `ok`."""
        return "failed" if self.problems else "unchecked" if self.reasons else "ok"


class Inspector:
    """Inspects backups at one target. A backup that several others need is inspected once."""

    def __init__(self, place: Place, store: Store, backups: Iterable[Backup]) -> None:
        """`backups`: those that are already listed."""
        self._place = place
        self._store = store
        self._known: dict[str, Backup | None] = {backup.timestamp: backup for backup in backups}
        self._bases: dict[str, Inspection] = {}

    @contextmanager
    def inspect(self, backup: Backup) -> Iterator[tuple[Inspection, Iterator[Entry]]]:
        """Inspect a backup by a listing. Yields the findings, and the objects that are right by the listing, to be
        read. Raises Unreachable, LocalFileError.
        """
        found = Inspection()
        with self._open_catalog(backup, found) as catalog:
            config, required = read_required(self._store, backup.timestamp)
            files, search = set(required.files), DataSearch(required)
            listed = _count_found(self._objects(backup.timestamp), files, search, backup.timestamp)
            with catalog.open_comparison(listed, backup_prefix(backup.timestamp)) as comparison:
                _report_comparison(found, comparison, backup)
                if backup.state in ("complete", "unknown"):
                    if config is not None and config.has_failed:
                        found.problems.append(_failed(backup.timestamp))
                    count, first = comparison.count_not_named(_missing(files, search))
                    _report_missing(found, required, (count, first))
                    if required.not_checked:
                        found.reasons.append(_reason(required))
                    self._inspect_needed(backup, config, found)
                if backup.state in _NOT_FINISHED:
                    found.reasons.append(_NOT_FINISHED[backup.state])
                yield found, comparison.right_objects()

    @contextmanager
    def read_manifests(self, backup: Backup) -> Iterator[tuple[Inspection, Iterator[Entry]]]:
        """Yields all objects that a backup's manifests name, without a listing. Raises Unreachable, LocalFileError."""
        found = Inspection()
        with self._open_catalog(backup, found) as catalog:
            yield found, catalog.entries()

    @contextmanager
    def _open_catalog(self, backup: Backup, found: Inspection) -> Iterator[Catalog]:
        """Make a catalog of the manifests, an empty one if they can't be read or disagree."""
        found.ownership = read_ownership(self._store, backup)
        if found.ownership.problem:
            found.problems.append(found.ownership.problem)
        if found.ownership.unreadable:
            found.reasons.append(found.ownership.unreadable)
        claim = found.ownership.claim
        with Catalog(self._place, backup.timestamp, f".verify-{secrets.token_hex(6)}", make=True) as catalog:
            try:
                try:
                    manifests = catalog_build.sort_manifests(backup.manifests, backup.timestamp)
                    catalog_build.build_catalog(
                        catalog, self._store, backup.timestamp, manifests, claim.token if claim else ""
                    )
                except AccessDenied as error:
                    found.reasons.append(f"its manifests can't be read: {error}")
                    catalog.build("", list)
                except Unreachable:
                    raise
                except StorageError as error:
                    is_about_one = isinstance(error, BadManifest)
                    found.problems.append(str(error) if is_about_one else f"its manifests can't be read: {error}")
                    catalog.build("", list)
                yield catalog
            finally:
                catalog.remove()

    def _objects(self, timestamp: str) -> Iterator[ObjectInfo]:
        """All objects of a backup, without this plugin's own."""
        prefix = backup_prefix(timestamp)
        return (info for info in self._store.find(prefix) if not is_plugins_own(info.key[len(prefix) :]))

    def _inspect_needed(self, backup: Backup, config: BackupConfig | None, found: Inspection) -> None:
        """Inspect all backups that an incremental one needs."""
        plan = {} if config is None or config.plan is None else dict(config.plan)
        reads_own = plan.pop(backup.timestamp, None)
        if backup.kind == "incremental" and config is not None and not plan and reads_own is None:
            found.reasons.append("gpbackup's config file names no backup that this incremental one needs")
        for timestamp in sorted(plan):
            found.needs.append(timestamp)
            base = self._base(timestamp)
            if why := why_not_restorable(timestamp, base):
                found.problems.append(why)
                backup.broken = backup.broken or why
            elif base is not None and plan[timestamp]:
                needed = self._inspect_base(base)
                found.problems += [f"it needs the backup {timestamp}, of which {one}" for one in needed.problems]
                found.reasons += [f"of the backup {timestamp}, which it needs: {one}" for one in needed.reasons]

    def _base(self, timestamp: str) -> Backup | None:
        if timestamp not in self._known:
            self._known[timestamp] = next(iter(survey(self._store, timestamp)), None)
        return self._known[timestamp]

    def _inspect_base(self, base: Backup) -> Inspection:
        """Inspect a backup that others need, by gpbackup's own files."""
        if (kept := self._bases.get(base.timestamp)) is not None:
            return kept
        found = self._bases[base.timestamp] = Inspection()
        config, required = read_required(self._store, base.timestamp)
        if config is not None and config.has_failed:
            found.problems.append(_failed(base.timestamp))
        files, search = set(required.files), DataSearch(required)
        archived, first = 0, ""
        for info in _count_found(self._objects(base.timestamp), files, search, base.timestamp):
            if info.archived:
                archived, first = archived + 1, min(first or info.key, info.key)
        count = len(files) + search.missing
        _report_missing(found, required, (count, next(_missing(files, search), "")))
        if archived:
            found.problems.append(count_message(archived, None, ARCHIVED, first))
        if required.not_checked:
            found.reasons.append(_reason(required))
        if base.state == "unknown":
            found.reasons.append(_NOT_FINISHED["unknown"])
        return found


def _failed(timestamp: str) -> str:
    return f"gpbackup's config file, {backup_prefix(timestamp)}{backup_config_name(timestamp)}, says that it failed"


def _missing(files: set[str], search: DataSearch) -> Iterator[str]:
    yield from sorted(files)
    yield from search.names_missing()


def _count_found(
    objects: Iterable[ObjectInfo], files: set[str], search: DataSearch, timestamp: str
) -> Iterator[ObjectInfo]:
    """The same objects, each counted as found."""
    start = len(backup_prefix(timestamp))
    for info in objects:
        name = info.key[start:]
        if not search.take(name):
            files.discard(name)
        yield info


def _report_comparison(found: Inspection, comparison: Comparison, backup: Backup) -> None:
    prefix = backup_prefix(backup.timestamp)
    found.right, found.size = comparison.right.count, comparison.right.size
    found.missing, found.resized = comparison.gone.count, comparison.resized.count
    named = sum(one.count for one in (comparison.right, comparison.gone, comparison.resized, comparison.archived))
    if (gone := comparison.gone).count:
        found.problems.append(f"{count_message(gone.count, named, 'missing', f'{prefix}{gone.first}')}; {BY_MANIFESTS}")
    if (other := comparison.resized).count:
        first = f"{prefix}{other.first} has {other.listed} bytes; {other.backed_up} were backed up"
        found.problems.append(count_message(other.count, named, "of another size", first))
    archived = [one for one in (comparison.archived, comparison.archived_too) if one.count]
    found.archived = sum(one.count for one in archived)
    if archived:
        found.problems.append(count_message(found.archived, None, ARCHIVED, f"{prefix}{archived[0].first}"))
    found.not_checked = comparison.not_named.count
    if found.not_checked:
        first = f"the first is {prefix}{comparison.not_named.first}"
        one = found.not_checked == 1
        what = f"{found.not_checked} object{' is' if one else 's are'} in no manifest"
        found.reasons.append(f"{what}; {first}" if backup.manifests else f"there is no manifest, so {what}; {first}")
    found.reasons += [
        f"host {host} left its mark and no manifest, so what it stored can't be checked"
        for host in backup.hosts_without_manifest
    ]


def _report_missing(found: Inspection, required: Required, missing: tuple[int, str]) -> None:
    """Report how many required objects are missing. `missing`: their number, and the first of them."""
    count, first = missing
    if count:
        found.missing += count
        total = required.count + len(required.files)
        key = f"{backup_prefix(required.timestamp)}{first}"
        found.problems.append(f"{count_message(count, total, 'missing', key)}; {BY_GPBACKUP}")


def _reason(required: Required) -> str:
    why = required.not_checked.removeprefix("not checked: ")
    return f"it is unknown whether all data is there: {why}"
