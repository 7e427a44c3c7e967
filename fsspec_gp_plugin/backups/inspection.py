"""Compares a backup's listing with its manifests and gpbackup's own files, and reports what is wrong.

It finds objects that are missing, and objects of which no manifest says how they must be.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ..errors import AccessDenied, PluginError, StorageError, Unreachable
from ..integrity.catalog import Catalog
from ..integrity.manifest import BadManifest
from ..keys import backup_prefix
from . import catalog_build
from .config_reading import read_backup_config
from .findings import Inspection, Sums, failure_message, reason_of, report_sums, why_not_sure
from .missing import Search
from .needed_backups import NeededBackups
from .ownership import read_ownership
from .required import Required, read_required, required_by_config
from .restore_plans import why_not_restorable
from .shares import WHOLE, Piece, Share, count_contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..integrity.entries import Entry
    from ..private import Place
    from ..storage.contract import Store
    from .backup import Backup
    from .gpbackup_files import BackupConfig

    # Reads objects and yields each with its fault, None if it is right.
    Read = Callable[[Iterator[Entry]], Iterator[tuple[Entry, PluginError | None]]]


class _Work(NamedTuple):
    """What is to be done for one backup. `read`: None if nothing is read; `part`: part I of N of the objects is read.
    `required`: what must be there, None if only another shard reports what comparisons find.
    """

    backup: Backup
    read: Read | None
    part: tuple[int, int]
    required: Required | None


class Inspector:
    """Inspects backups at one target. A backup that several others need is inspected once."""

    def __init__(self, place: Place, store: Store, backups: Iterable[Backup]) -> None:
        """`backups`: those that are already listed."""
        self._place = place
        self._store = store
        self._needed = NeededBackups(store, backups)

    def inspect(self, backup: Backup, shard: tuple[int, int] = WHOLE, read: Read | None = None) -> Inspection:
        """Inspect a backup, or part I of N of it, by a listing; then call `read` for the objects that are right by the
        listing. All shards together report everything once. Raises Unreachable, LocalFileError.
        """
        found = Inspection(ownership=read_ownership(self._store, backup))
        if shard != WHOLE and (divided := self._divide(backup, shard, found)) is not None:
            config_file, share = divided
            self._inspect_share(found, share, _Work(backup, read, share.part, None), config_file, shard)
        elif shard[0] == 0:
            config, required = read_required(self._store, backup.timestamp, backup.summary)
            sums = Sums()
            self._compare(found, sums, Piece(backup.timestamp), _Work(backup, read, shard, required))
            report_sums(found, sums, backup)
            self._report_whole(found, backup, config, required, WHOLE)
        elif read is not None:
            with self._open_catalog(backup, found) as catalog:
                _read(found, read, catalog.entries(), shard)
        return found

    def _divide(self, backup: Backup, shard: tuple[int, int], found: Inspection) -> tuple[BackupConfig, Share] | None:
        """Find out the shard's share. None if not all content ids of the backup are known."""
        if count_contents(backup.manifests, backup.timestamp) is None:
            return None
        try:
            config = read_backup_config(self._store, backup.timestamp, backup.summary)
        except Unreachable:
            raise
        except StorageError as error:
            # Others may have read it, and divide the backup in another way.
            found.reasons.append(f"it is unknown which objects are this part's: {error}")
            return None
        if config.segments is None:
            return None
        counts = count_contents(backup.manifests, backup.timestamp, config.segments)
        return None if counts is None else (config, Share(self._store, backup.timestamp, counts, shard))

    def _inspect_share(
        self, found: Inspection, share: Share, work: _Work, config: BackupConfig, shard: tuple[int, int]
    ) -> None:
        """Inspect a share. If several shards share a content id, the first of them reports what comparisons find."""
        backup = work.backup
        if share.part[0] == 0:
            work = work._replace(required=required_by_config(self._store, backup.timestamp, config))
        sums = Sums()
        if work.required is not None or work.read is not None:
            for piece in share.pieces():
                self._compare(found, sums, piece, work)
        if work.required is not None:
            report_sums(found, sums, backup)
        self._report_whole(found, backup, config, work.required or Required(backup.timestamp), shard)

    def _compare(self, found: Inspection, sums: Sums, piece: Piece, work: _Work) -> None:
        """Compare a piece of a backup, then read its objects."""
        backup = work.backup
        with self._open_catalog(backup, found, piece.contents) as catalog:
            search = Search(work.required or Required(backup.timestamp), piece.contents)
            named = (entry.name for entry in catalog.entries())
            listed = search.count_found(piece.list_objects(self._store, named))
            with catalog.open_comparison(listed, backup_prefix(backup.timestamp)) as comparison:
                sums.kinds = sums.kinds.plus(comparison.kinds)
                sums.required += search.total
                if search.missing and _is_finished(backup):
                    sums.add_missing(*comparison.count_not_named(search.names_missing()))
                if work.read is not None:
                    _read(found, work.read, comparison.right_objects(), work.part)
                else:
                    found.right += comparison.kinds.right.count
                    found.size += comparison.kinds.right.size

    def _report_whole(
        self,
        found: Inspection,
        backup: Backup,
        config: BackupConfig | None,
        required: Required,
        shard: tuple[int, int],
    ) -> None:
        """Report what concerns the backup as a whole, in shard 0, and inspect the backups that it needs."""
        if shard[0] == 0:
            if found.ownership.problem:
                found.problems.append(found.ownership.problem)
            if found.ownership.unreadable:
                found.reasons.append(found.ownership.unreadable)
            found.reasons += [
                f"host {host} left its mark and no manifest, so what it stored can't be checked"
                for host in backup.hosts_without_manifest
            ]
            if _is_finished(backup) and config is not None and config.has_failed:
                found.problems.append(failure_message(backup.timestamp))
            if _is_finished(backup) and required.not_checked:
                found.reasons.append(reason_of(required))
            if why := why_not_sure(backup):
                found.reasons.append(why)
        if _is_finished(backup):
            self._inspect_needed(backup, config, found, shard)

    @contextmanager
    def _open_catalog(
        self, backup: Backup, found: Inspection, contents: frozenset[int] | None = None
    ) -> Iterator[Catalog]:
        """Make a catalog of the manifests, an empty one if they can't be read or disagree. `contents`: the content ids
        that it has, None for all.
        """
        claim = found.ownership.claim
        with Catalog(self._place, backup.timestamp, f".verify-{secrets.token_hex(6)}", make=True) as catalog:
            try:
                try:
                    manifests = catalog_build.sort_manifests(backup.manifests, backup.timestamp)
                    token = claim.token if claim else ""
                    catalog_build.build_catalog(catalog, self._store, backup.timestamp, manifests, token, contents)
                except AccessDenied as error:
                    _add(found.reasons, f"its manifests can't be read: {error}")
                    catalog.build("", list)
                except Unreachable:
                    raise
                except StorageError as error:
                    is_about_one = isinstance(error, BadManifest)
                    _add(found.problems, str(error) if is_about_one else f"its manifests can't be read: {error}")
                    catalog.build("", list)
                yield catalog
            finally:
                catalog.remove()

    def _inspect_needed(
        self, backup: Backup, config: BackupConfig | None, found: Inspection, shard: tuple[int, int]
    ) -> None:
        """Inspect all backups that an incremental one needs; of their data this shard's share."""
        plan = {} if config is None or config.plan is None else dict(config.plan)
        reads_own = plan.pop(backup.timestamp, None)
        is_first = shard[0] == 0
        if is_first and backup.kind == "incremental" and config is not None and not plan and reads_own is None:
            found.reasons.append("gpbackup's config file names no backup that this incremental one needs")
        for timestamp in sorted(plan):
            if is_first:
                found.needs.append(timestamp)
                if why := why_not_restorable(timestamp, self._needed.find(timestamp)):
                    found.problems.append(why)
                    backup.broken = backup.broken or why
                    continue
            if plan[timestamp]:
                needed = self._needed.inspect(timestamp, shard)
                found.problems += [f"it needs the backup {timestamp}, of which {one}" for one in needed.problems]
                found.reasons += [f"of the backup {timestamp}, which it needs: {one}" for one in needed.reasons]


def _is_finished(backup: Backup) -> bool:
    """Whether gpbackup's own files say what must be there."""
    return backup.state in ("complete", "unknown")


def _add(lines: list[str], line: str) -> None:
    """Add a line unless it is there: several pieces of a backup may have the same fault."""
    if line not in lines:
        lines.append(line)


def _read(found: Inspection, read: Read, objects: Iterator[Entry], part: tuple[int, int]) -> None:
    """Read those of the objects that belong to part I of N."""
    number, parts = part
    for one, fault in read(one for one in objects if one.crc32c % parts == number):
        if fault is None:
            found.right += 1
            found.size += one.size
        else:
            found.problems.append(str(fault))
