"""What is right and what is wrong with one backup, as far as listings, manifests and gpbackup's own files tell it.

Both directions are looked at: what must be there and is not, and what is there and nothing tells how it must be.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import AccessDenied, StorageError, Unreachable
from ..integrity.catalog import Catalog
from ..integrity.manifest import BadManifest, is_plugins_own
from ..keys import backup_prefix
from . import catalog_build
from .chains import why_not
from .counting import ARCHIVED, BY_GPBACKUP, BY_MANIFESTS, counted
from .data_search import DataSearch
from .gpbackup_config import name_of
from .ownership import Ownership, ownership_of
from .required import required_of
from .survey import Backup, survey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..integrity.comparison import Comparison
    from ..integrity.entry import Entry
    from ..private import Place
    from ..storage.contract import ObjectInfo, Store
    from .gpbackup_config import Record
    from .required import Required

_NOT_FINISHED = {
    "incomplete": "gpbackup did not finish this backup, so nothing tells what must be there",
    "failed": "gpbackup's report says that this backup failed, so nothing tells what must be there",
    "unknown": "its report can't be read, so nothing tells whether gpbackup finished it",
}


@dataclass
class Found:
    """What was found of one backup. `right`: objects that are as their manifests say, and `size` their bytes.
    `problems`: what is wrong, a line each. `reasons`: why not everything could be checked, a line each.

    Numbers of objects: `missing`, which must be there and are not; `resized`, of another size; `archived`, which can't
    be read now; `not_checked`, which are in no manifest. `needs`: the backups that it builds upon.
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
        """`failed`, `unchecked` where nothing is wrong and not everything could be checked, or `ok`."""
        return "failed" if self.problems else "unchecked" if self.reasons else "ok"


class Inspector:
    """Looks at backups of one target. What several backups need is looked at once."""

    def __init__(self, place: Place, store: Store, backups: Iterable[Backup]) -> None:
        """`backups`: those that are known already."""
        self._place = place
        self._store = store
        self._known: dict[str, Backup | None] = {backup.timestamp: backup for backup in backups}
        self._bases: dict[str, Found] = {}

    @contextmanager
    def inspected(self, backup: Backup) -> Iterator[tuple[Found, Iterator[Entry]]]:
        """What a listing tells of a backup, and, to be read, the objects that are right by it. Unreachable,
        LocalFileError.
        """
        found = Found()
        with self._catalog(backup, found) as catalog:
            told, required = required_of(self._store, backup.timestamp)
            files, search = set(required.files), DataSearch(required)
            listed = _taken(self._objects(backup.timestamp), files, search, backup.timestamp)
            with catalog.compared(listed, backup_prefix(backup.timestamp)) as comparison:
                _tell_comparison(found, comparison, backup)
                if backup.state in ("complete", "unknown"):
                    if told is not None and told.has_failed:
                        found.problems.append(_failed(backup.timestamp))
                    count, first = comparison.first_not_named(_missing(files, search))
                    _tell_missing(found, required, (count, first))
                    if required.not_checked:
                        found.reasons.append(_why(required))
                    self._follow(backup, told, found)
                if backup.state in _NOT_FINISHED:
                    found.reasons.append(_NOT_FINISHED[backup.state])
                yield found, comparison.objects()

    @contextmanager
    def named(self, backup: Backup) -> Iterator[tuple[Found, Iterator[Entry]]]:
        """All objects that the manifests of a backup name, without a look at what is there. Unreachable,
        LocalFileError.
        """
        found = Found()
        with self._catalog(backup, found) as catalog:
            yield found, catalog.entries()

    @contextmanager
    def _catalog(self, backup: Backup, found: Found) -> Iterator[Catalog]:
        """The catalog of the manifests, an empty one where they can't be read or disagree."""
        found.ownership = ownership_of(self._store, backup)
        if found.ownership.problem:
            found.problems.append(found.ownership.problem)
        if found.ownership.unreadable:
            found.reasons.append(found.ownership.unreadable)
        claim = found.ownership.claim
        with Catalog(self._place, backup.timestamp, f".verify-{secrets.token_hex(6)}", make=True) as catalog:
            try:
                try:
                    manifests = catalog_build.limited(backup.manifests, backup.timestamp)
                    catalog_build.build(catalog, self._store, backup.timestamp, manifests, claim.token if claim else "")
                except AccessDenied as error:
                    found.reasons.append(f"its manifests can't be read: {error}")
                    catalog.build("", list)
                except Unreachable:
                    raise
                except StorageError as error:
                    is_told = isinstance(error, BadManifest)
                    found.problems.append(str(error) if is_told else f"its manifests can't be read: {error}")
                    catalog.build("", list)
                yield catalog
            finally:
                catalog.remove()

    def _objects(self, timestamp: str) -> Iterator[ObjectInfo]:
        """All objects of a backup but those that this plugin has put beside it."""
        prefix = backup_prefix(timestamp)
        return (info for info in self._store.find(prefix) if not is_plugins_own(info.key[len(prefix) :]))

    def _follow(self, backup: Backup, told: Record | None, found: Found) -> None:
        """Look at all backups that an incremental one builds upon."""
        plan = {} if told is None or told.plan is None else dict(told.plan)
        reads_own = plan.pop(backup.timestamp, None)
        if backup.kind == "incremental" and told is not None and not plan and reads_own is None:
            found.reasons.append("gpbackup's record names no backup that it builds upon, although it is incremental")
        for timestamp in sorted(plan):
            found.needs.append(timestamp)
            base = self._base(timestamp)
            if why := why_not(timestamp, base):
                found.problems.append(why)
                backup.broken = backup.broken or why
            elif base is not None and plan[timestamp]:
                whole = self._whole(base)
                found.problems += [f"it needs the backup {timestamp}, of which {one}" for one in whole.problems]
                found.reasons += [f"of the backup {timestamp}, which it needs: {one}" for one in whole.reasons]

    def _base(self, timestamp: str) -> Backup | None:
        if timestamp not in self._known:
            self._known[timestamp] = next(iter(survey(self._store, timestamp)), None)
        return self._known[timestamp]

    def _whole(self, base: Backup) -> Found:
        """Whether all is there of a backup that others need, by gpbackup's own files."""
        if (kept := self._bases.get(base.timestamp)) is not None:
            return kept
        found = self._bases[base.timestamp] = Found()
        told, required = required_of(self._store, base.timestamp)
        if told is not None and told.has_failed:
            found.problems.append(_failed(base.timestamp))
        files, search = set(required.files), DataSearch(required)
        archived, first = 0, ""
        for info in _taken(self._objects(base.timestamp), files, search, base.timestamp):
            if info.archived:
                archived, first = archived + 1, min(first or info.key, info.key)
        count = len(files) + search.missing
        _tell_missing(found, required, (count, next(_missing(files, search), "")))
        if archived:
            found.problems.append(counted(archived, None, ARCHIVED, first))
        if required.not_checked:
            found.reasons.append(_why(required))
        if base.state == "unknown":
            found.reasons.append(_NOT_FINISHED["unknown"])
        return found


def _failed(timestamp: str) -> str:
    return f"gpbackup's own record, {backup_prefix(timestamp)}{name_of(timestamp)}, says that it failed"


def _missing(files: set[str], search: DataSearch) -> Iterator[str]:
    yield from sorted(files)
    yield from search.names_missing()


def _taken(objects: Iterable[ObjectInfo], files: set[str], search: DataSearch, timestamp: str) -> Iterator[ObjectInfo]:
    """The same objects, each noted as found."""
    start = len(backup_prefix(timestamp))
    for info in objects:
        name = info.key[start:]
        if not search.take(name):
            files.discard(name)
        yield info


def _tell_comparison(found: Found, comparison: Comparison, backup: Backup) -> None:
    prefix = backup_prefix(backup.timestamp)
    found.right, found.size = comparison.right.count, comparison.right.size
    found.missing, found.resized = comparison.gone.count, comparison.resized.count
    named = sum(one.count for one in (comparison.right, comparison.gone, comparison.resized, comparison.archived))
    if (gone := comparison.gone).count:
        found.problems.append(f"{counted(gone.count, named, 'missing', f'{prefix}{gone.first}')}; {BY_MANIFESTS}")
    if (other := comparison.resized).count:
        first = f"{prefix}{other.first} has {other.listed} bytes; {other.backed_up} were backed up"
        found.problems.append(counted(other.count, named, "of another size", first))
    archived = [one for one in (comparison.archived, comparison.archived_too) if one.count]
    found.archived = sum(one.count for one in archived)
    if archived:
        found.problems.append(counted(found.archived, None, ARCHIVED, f"{prefix}{archived[0].first}"))
    found.not_checked = comparison.not_named.count
    if found.not_checked:
        first = f"the first is {prefix}{comparison.not_named.first}"
        one = found.not_checked == 1
        what = f"{found.not_checked} object{' is' if one else 's are'} in no manifest"
        found.reasons.append(f"{what}; {first}" if backup.manifests else f"there is no manifest, so {what}; {first}")
    found.reasons += [
        f"host {host} has left its mark and no manifest, so what it stored can't be checked"
        for host in backup.hosts_without_manifest
    ]


def _tell_missing(found: Found, required: Required, missing: tuple[int, str]) -> None:
    """How many of the objects that must be there are not, and the first of them."""
    count, first = missing
    if count:
        found.missing += count
        total = required.count + len(required.files)
        key = f"{backup_prefix(required.timestamp)}{first}"
        found.problems.append(f"{counted(count, total, 'missing', key)}; {BY_GPBACKUP}")


def _why(required: Required) -> str:
    why = required.not_checked.removeprefix("not checked: ")
    return f"nothing tells whether all data is there: {why}"
