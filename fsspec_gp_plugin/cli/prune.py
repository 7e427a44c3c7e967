"""`prune`: deletes complete backups that a retention policy does not keep."""

from __future__ import annotations

import argparse
import re
import time
from typing import TYPE_CHECKING, Any

from ..backups.deletion import delete_backup
from ..backups.ownership import clusters_of
from ..backups.plans import plans_of
from ..backups.retention import Policy, Verdict, judge, unfinished
from ..backups.running import Watch, is_young, running_without_claim
from ..backups.survey import survey
from ..config.values import format_size
from ..errors import StorageError, Unreachable, UsageError
from . import render
from .arguments import Parser
from .open_target import open_target

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        rows = [found.row(verdict) for verdict in found.verdicts]
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
        self._watch = Watch(store, time.time())
        self._look()

    def _look(self) -> None:
        now = time.time()
        files: list[ObjectInfo] = []
        backups = survey(self.store, working_files=files)
        self._watch.remember(backups, files)
        self.clusters = clusters_of(self.store, backups)
        self.plans = plans_of(self.store, backups)
        running = running_without_claim(self.store, backups, files, now)
        self.verdicts = judge(backups, self.plans, self._policy, now, running, self.clusters)
        self.unfinished = unfinished(backups)
        signs = {backup.timestamp: backup.last_sign for backup in backups}
        # A backup that runs during `prune` is normal. A run that ended without its cleanup blocks all deletions until
        # somebody notices.
        self.stuck = {one for one in self.unfinished if not is_young(signs[one], now)}

    def look_again(self) -> None:
        """Decide anew if a backup has started or finished meanwhile."""
        if self._watch.sees_change():
            self._look()

    def verdict_on(self, timestamp: str) -> Verdict | None:
        """The latest decision; None if the backup is gone."""
        return next((one for one in self.verdicts if one.backup.timestamp == timestamp), None)

    def row(self, verdict: Verdict) -> dict[str, Any]:
        """The row of one backup in the output."""
        backup = verdict.backup
        cluster = self.clusters.get(backup.timestamp)
        return {
            "timestamp": backup.timestamp,
            "database": backup.database,
            "cluster": None if cluster is None else str(cluster),
            "kind": backup.kind,
            "state": backup.state,
            "bytes": backup.size,
            "action": "delete" if verdict.goes else "keep",
            "why": verdict.why,
            "held_by": verdict.held_by or None,
        }


def _delete(found: _Found, place: Place, rows: list[dict[str, Any]]) -> None:
    """Delete the latest first, so that no backup is ever left without one that it needs."""
    doomed = [(verdict.backup, row) for verdict, row in zip(found.verdicts, rows, strict=True) if verdict.goes]
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
            verdict = found.verdict_on(timestamp)
            if verdict is not None and not verdict.goes:
                row.update(action="keep", why=verdict.why, held_by=verdict.held_by or None)
                continue
            why = row["why"]
            rest = f"`cleanup CONFIG --run {timestamp} --yes`"
            row.update(action="begun", why=f"not finished: run `prune` again, then {rest}")
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
            format_size(row["bytes"]),
            row["action"],
            row["why"],
        )
        for row in rows
    ]
    render.table(columns, cells, right=("SIZE",), wrapped="WHY")
    sizes = [row["bytes"] for row in rows if row["action"] == "delete"]
    if sizes and not done:
        marked = f"the {len(sizes)} backups" if len(sizes) > 1 else "the backup"
        total = format_size(sum(sizes))
        render.line(f"Dry run: nothing was deleted. Add --yes to delete {marked} marked 'delete' ({total}).")
    for timestamp in holding:
        render.line(
            f"{timestamp} is unfinished, so nothing of its cluster is deleted. If its gpbackup no longer runs, "
            f"`cleanup CONFIG --run {timestamp} --yes` releases it"
        )
