"""`prune`: complete backups that a policy no longer wants, deleted."""

from __future__ import annotations

import argparse
import re
import time
from typing import TYPE_CHECKING, Any

from ..backups.backup_deletion import delete_backup
from ..backups.ownership import read_clusters
from ..backups.restore_plans import read_plans
from ..backups.retention import Decision, Policy, decide, unfinished_timestamps
from ..backups.running_backups import BackupWatch, find_running_without_claim, is_recent
from ..backups.survey import survey
from ..config.units import format_size
from ..errors import StorageError, Unreachable, UsageError
from . import render
from .arguments import Parser
from .open_target import open_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..private import Place
    from ..storage.contract import ObjectInfo, Store


def main(arguments: Sequence[str]) -> int:
    """Status 1 where a backup could not be deleted, and where a run that has shown no sign of life for a day holds what
    the policy lets go; else 0.
    """
    parser = Parser("prune")
    told = "let a backup go that is not needed for the N latest full ones of its database"
    parser.add_argument("--keep-full", metavar="N", type=_count, help=told)
    parser.add_older_than("let a backup go that is older")
    parser.add_yes()
    parser.add_json()
    asked = parser.parse_args(arguments)
    if asked.keep_full is None and asked.older_than is None:
        raise UsageError(
            "name a policy: --keep-full N, --older-than AGE, or both, where a backup goes if both allow it"
        )
    policy = Policy(asked.keep_full, asked.older_than)
    with open_target(asked.config, attended=False) as (config, store):
        found = _Found(store, policy)
        stuck = found.stuck
        rows = [found.described(decision) for decision in found.decisions]
        ended: StorageError | KeyboardInterrupt | None = None
        try:
            if asked.yes:
                _delete(found, config.place, rows)
        except (StorageError, KeyboardInterrupt) as error:
            ended = error  # what was deleted before is told all the same
    if asked.json:
        answer = {"url": config.url, "done": asked.yes, "policy": str(policy), "unfinished": found.unfinished}
        render.as_json({**answer, "backups": rows})
    else:
        _show(config.url, rows, found.unfinished, done=asked.yes)
    if ended is not None:
        raise ended
    return 1 if any(row["action"] == "failed" or row["held_by"] in stuck for row in rows) else 0


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of backups: expected 1 or more")
    return int(text)


class _Found:
    """What is at a target, and what a policy lets go of it."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self.store = store
        self._policy = policy
        self._watch = BackupWatch(store, time.time())
        self._look()

    def _look(self) -> None:
        now = time.time()
        files: list[ObjectInfo] = []
        backups = survey(self.store, working_files=files)
        self._watch.remember(backups, files)
        self.clusters = read_clusters(self.store, backups)
        self.plans = read_plans(self.store, backups)
        running = find_running_without_claim(self.store, backups, files, now)
        self.decisions = decide(backups, self.plans, self._policy, now, running, self.clusters)
        self.unfinished = unfinished_timestamps(backups)
        signs = {backup.timestamp: backup.last_sign for backup in backups}
        # A backup that runs while a policy is applied is every day's; one that has ended holds everything until
        # somebody hears of it.
        self.stuck = {one for one in self.unfinished if not is_recent(signs[one], now)}

    def look_again(self) -> None:
        """Judge anew, if a backup has begun or come to its end meanwhile."""
        if self._watch.has_changed():
            self._look()

    def decision_on(self, timestamp: str) -> Decision | None:
        """The decision by the last look; None where the backup is gone."""
        return next((one for one in self.decisions if one.backup.timestamp == timestamp), None)

    def described(self, decision: Decision) -> dict[str, Any]:
        """For the answer."""
        backup = decision.backup
        cluster = self.clusters.get(backup.timestamp)
        return {
            "timestamp": backup.timestamp,
            "database": backup.database,
            "cluster": None if cluster is None else str(cluster),
            "kind": backup.kind,
            "state": backup.state,
            "bytes": backup.size,
            "action": "delete" if decision.delete else "keep",
            "why": decision.why,
            "held_by": decision.held_by or None,
        }


def _delete(found: _Found, place: Place, rows: list[dict[str, Any]]) -> None:
    """The latest first, so that at no time anything is there without what it needs."""
    going = [(decision.backup, row) for decision, row in zip(found.decisions, rows, strict=True) if decision.delete]
    failed: dict[str, frozenset[str]] = {}
    with render.progress("deleting", sum(backup.size for backup, _ in going)) as advance:
        for backup, row in reversed(going):
            timestamp = backup.timestamp
            needing = [one for one, plan in failed.items() if timestamp in plan]
            if needing:
                row.update(action="keep", why=f"{needing[0]} could not be deleted, and needs it")
                failed[timestamp] = found.plans.get(timestamp) or frozenset()
                continue
            # Deletions take their time, and a backup that has begun meanwhile may build upon this one.
            found.look_again()
            decision = found.decision_on(timestamp)
            if decision is not None and not decision.delete:
                row.update(action="keep", why=decision.why, held_by=decision.held_by or None)
                continue
            why = row["why"]
            rest = f"`cleanup CONFIG --run {timestamp} --yes`"
            row.update(action="begun", why=f"not finished: run it again, and then {rest}")
            try:
                _, kept = delete_backup(found.store, place, timestamp, lambda _: None)
            except Unreachable:
                raise
            except StorageError as error:
                failed[timestamp] = found.plans.get(timestamp) or frozenset()
                row.update(action="failed", why=str(error))
            else:
                row.update(action="deleted", why=kept or why)
            advance(backup.size)


def _show(url: str, rows: list[dict[str, Any]], holding: list[str], *, done: bool) -> None:
    if not rows:
        render.line(f"There are no backups at {url}")
        return
    # Where all are of one cluster, nobody needs such a column.
    several = len({row["cluster"] for row in rows}) > 1
    columns = ("TIMESTAMP", "DATABASE", *(("CLUSTER",) if several else ()), "KIND", "STATE", "SIZE", "ACTION", "WHY")
    cells = [
        (
            row["timestamp"],
            row["database"] or "?",
            *((row["cluster"] or "?",) if several else ()),
            row["kind"] or "?",
            row["state"],
            format_size(row["bytes"]),
            row["action"],
            row["why"],
        )
        for row in rows
    ]
    render.table(columns, cells, right=("SIZE",), wrapped="WHY")
    going = [row["bytes"] for row in rows if row["action"] == "delete"]
    if going and not done:
        size = format_size(sum(going))
        render.line(f"Nothing was deleted; `--yes` deletes what is marked so ({len(going)}, {size})")
    for timestamp in holding:
        render.line(
            f"{timestamp} is unfinished, so nothing of its cluster is deleted. If it does not run any more, "
            f"`cleanup CONFIG --run {timestamp} --yes` releases it"
        )
