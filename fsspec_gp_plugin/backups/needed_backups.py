"""Inspects the backups that incremental ones need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..integrity.contents import COORDINATOR
from .findings import Inspection, Sums, failure_message, reason_of, report_missing, why_not_sure
from .missing import ARCHIVED, Search, count_message
from .required import Required, read_required
from .shares import WHOLE, Piece, Share
from .survey import survey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..storage.contract import Store
    from .backup import Backup


class NeededBackups:
    """The backups at one target that others need. Each is inspected once."""

    def __init__(self, store: Store, backups: Iterable[Backup]) -> None:
        """`backups`: those that are already listed."""
        self._store = store
        self._known: dict[str, Backup | None] = {backup.timestamp: backup for backup in backups}
        self._found: dict[tuple[str, tuple[int, int]], Inspection] = {}

    def find(self, timestamp: str) -> Backup | None:
        """The backup of that timestamp. None if it is not at the target."""
        if timestamp not in self._known:
            self._known[timestamp] = next(iter(survey(self._store, timestamp)), None)
        return self._known[timestamp]

    def inspect(self, timestamp: str, shard: tuple[int, int]) -> Inspection:
        """Inspect a backup, or a shard's share of it, by gpbackup's own files. Raises Unreachable."""
        if (kept := self._found.get((timestamp, shard))) is not None:
            return kept
        found = self._found[timestamp, shard] = Inspection()
        known = self._known.get(timestamp)
        config, required = read_required(self._store, timestamp, known.summary if known is not None else None)
        archived, first, sums = 0, "", Sums()
        for piece in self._pieces(required, shard):
            search = Search(required, piece.contents)
            for info in search.count_found(piece.list_objects(self._store)):
                if info.archived:
                    archived, first = archived + 1, min(first or info.key, info.key)
            sums.required += search.total
            sums.add_missing(search.missing, next(search.names_missing(), ""))
        report_missing(found, timestamp, sums)
        if archived:
            found.problems.append(count_message(archived, None, ARCHIVED, first))
        if shard[0] == 0:
            if config is not None and config.has_failed:
                found.problems.append(failure_message(timestamp))
            if required.not_checked:
                found.reasons.append(reason_of(required))
            if (base := self.find(timestamp)) is not None and base.state == "unknown":
                found.reasons.append(why_not_sure(base))
        return found

    def _pieces(self, required: Required, shard: tuple[int, int]) -> Iterable[Piece]:
        if shard == WHOLE or required.not_checked:
            return [Piece(required.timestamp)] if shard[0] == 0 else []
        counts = {COORDINATOR: len(required.files), **dict.fromkeys(range(required.segments), required.each)}
        share = Share(self._store, required.timestamp, counts, shard)
        return share.pieces() if share.part[0] == 0 else []
