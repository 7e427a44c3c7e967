"""`prune`: deletes complete backups that a retention policy does not keep."""

from __future__ import annotations

import argparse
import re
import time
from typing import TYPE_CHECKING, Any

from ..backups.backup_deletion import delete_backup
from ..backups.deletion_progress import DeletionProgress
from ..backups.ownership import read_clusters
from ..backups.restore_plans import read_plans
from ..backups.retention import Decision, Policy, decide, unfinished_timestamps
from ..backups.running_backups import BackupWatch, find_running_without_claim, is_recent, lists_for_signs
from ..backups.survey import survey
from ..errors import StorageError, Unreachable, UsageError
from . import render
from .arguments import Parser
from .open_target import open_target
from .render import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..backups.backup import Backup
    from ..private import Place
    from ..storage.contract import ObjectInfo, Store


def main(argv: Sequence[str]) -> int:
    """Show or delete backups; returns 1 if a backup could not be deleted, or if a run without a sign of life for a day
    prevents a deletion, else 0.
    """
    parser = Parser("prune")
    text = "keep the N latest full backups of each database, and what they and later backups need"
    parser.add_argument("--keep-full", metavar="N", type=_count, help=text)
    parser.add_older_than("delete backups older than this")
    parser.add_yes()
    parser.add_json()
    arguments = parser.parse_args(argv)
    if arguments.keep_full is None and arguments.older_than is None:
        raise UsageError(
            "no policy is given: use --keep-full N, --older-than AGE, or both, to delete only what both allow"
        )
    policy = Policy(arguments.keep_full, arguments.older_than)
    with open_target(arguments.config, attended=False) as (config, store):
        found = _Found(store, policy)
        stuck = found.stuck
        rows = [found.row(decision) for decision in found.decisions]
        ended: StorageError | KeyboardInterrupt | None = None
        try:
            if arguments.yes:
                _delete(found, config.place, rows)
        except (StorageError, KeyboardInterrupt) as error:
            ended = error  # first the output shows what was already deleted
    if arguments.json:
        answer = {"url": config.url, "done": arguments.yes, "policy": str(policy), "unfinished": found.unfinished}
        render.as_json({**answer, "backups": rows})
    else:
        _show(config.url, rows, found.unfinished, done=arguments.yes)
    if ended is not None:
        raise ended
    return 1 if any(row["action"] == "failed" or row["held_by"] in stuck for row in rows) else 0


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of backups: expected 1 or more")
    return int(text)


class _Found:
    """The backups at a target, and what a policy decides about them."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self.store = store
        self._policy = policy
        self._watch = BackupWatch(store, time.time())
        self._look()

    def _look(self) -> None:
        now = time.time()
        files: list[ObjectInfo] = []
        backups = survey(self.store, working_files=files, lists=lists_for_signs(now))
        self._watch.remember(backups, files)
        self.clusters = read_clusters(self.store, backups)
        self.plans = read_plans(self.store, backups)
        running = find_running_without_claim(self.store, backups, files, now)
        self.decisions = decide(backups, self.plans, self._policy, now, running, self.clusters)
        self.unfinished = unfinished_timestamps(backups)
        signs = {backup.timestamp: backup.last_sign for backup in backups}
        # A backup that runs during `prune` is normal. A run that ended without its cleanup blocks all deletions until
        # somebody notices.
        self.stuck = {one for one in self.unfinished if not is_recent(signs[one], now)}

    def look_again(self) -> None:
        """Decide anew if a backup has started or finished meanwhile."""
        if self._watch.has_changed():
            self._look()

    def decision_on(self, timestamp: str) -> Decision | None:
        """The latest decision; None if the backup is gone."""
        return next((one for one in self.decisions if one.backup.timestamp == timestamp), None)

    def row(self, decision: Decision) -> dict[str, Any]:
        """The row of one backup in the output."""
        backup = decision.backup
        cluster = self.clusters.get(backup.timestamp)
        return {
            "timestamp": backup.timestamp,
            "database": backup.database,
            "cluster": None if cluster is None else str(cluster),
            "kind": backup.kind,
            "state": backup.state,
            "bytes": backup.size,
            "counted": backup.counted,
            "action": "delete" if decision.delete else "keep",
            "why": decision.why,
            "held_by": decision.held_by or None,
        }


def _delete(found: _Found, place: Place, rows: list[dict[str, Any]]) -> None:
    """Delete the latest first, so that no backup is ever left without one that it needs."""
    doomed = [(decision.backup, row) for decision, row in zip(found.decisions, rows, strict=True) if decision.delete]
    failed: dict[str, frozenset[str]] = {}
    with render.progress("deleting", sum(backup.size for backup, _ in doomed)) as advance:
        for backup, row in reversed(doomed):
            timestamp = backup.timestamp
            needing = [one for one, plan in failed.items() if timestamp in plan]
            if needing:
                row.update(action="keep", why=f"{needing[0]} could not be deleted and needs it")
                failed[timestamp] = found.plans.get(timestamp) or frozenset()
                continue
            # Deletions take time: a backup that has started meanwhile may build on this one.
            found.look_again()
            decision = found.decision_on(timestamp)
            if decision is not None and not decision.delete:
                row.update(action="keep", why=decision.why, held_by=decision.held_by or None)
                continue
            why = row["why"]
            rest = f"`cleanup CONFIG --run {timestamp} --yes`"
            row.update(action="begun", why=f"not finished: run `prune` again, then {rest}")
            share = _Share(backup, advance)
            try:
                _, kept = delete_backup(
                    found.store, place, timestamp, lambda _: None, DeletionProgress(show=share.show)
                )
            except Unreachable:
                raise
            except StorageError as error:
                failed[timestamp] = found.plans.get(timestamp) or frozenset()
                row.update(action="failed", why=str(error))
            else:
                row.update(action="deleted", why=kept or why)
            share.end()


class _Share:
    """The bytes of one backup in the progress of all, by the number of its objects that are deleted."""

    def __init__(self, backup: Backup, advance: Callable[[int], None]) -> None:
        self._backup, self._advance = backup, advance
        self._shown = 0

    def show(self, progress: DeletionProgress) -> None:
        objects = max(self._backup.objects, progress.count, 1)
        self._show(self._backup.size * progress.count // objects)

    def end(self) -> None:
        self._show(self._backup.size)

    def _show(self, size: int) -> None:
        self._advance(size - self._shown)
        self._shown = size


def _show(url: str, rows: list[dict[str, Any]], holding: list[str], *, done: bool) -> None:
    if not rows:
        render.line(f"There are no backups at {url}")
        return
    # With one cluster only, the column says nothing.
    several = len({row["cluster"] for row in rows}) > 1
    columns = ("TIMESTAMP", "DATABASE", *(("CLUSTER",) if several else ()), "KIND", "STATE", "SIZE", "ACTION", "WHY")
    cells = [
        (
            row["timestamp"],
            row["database"] or "?",
            *((row["cluster"] or "?",) if several else ()),
            row["kind"] or "?",
            row["state"],
            size_text(row["bytes"], counted=row["counted"]),
            row["action"],
            row["why"],
        )
        for row in rows
    ]
    render.table(columns, cells, right=("SIZE",), wrapped="WHY")
    doomed = [row for row in rows if row["action"] == "delete"]
    if doomed and not done:
        marked = f"the {len(doomed)} backups" if len(doomed) > 1 else "the backup"
        total = size_text(sum(row["bytes"] for row in doomed), counted=all(row["counted"] for row in doomed))
        render.line(f"Dry run: nothing was deleted. Add --yes to delete {marked} marked 'delete' ({total}).")
    for timestamp in holding:
        render.line(
            f"{timestamp} is unfinished, so nothing of its cluster is deleted. If its gpbackup no longer runs, "
            f"`cleanup CONFIG --run {timestamp} --yes` releases it"
        )
