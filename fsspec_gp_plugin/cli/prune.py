"""`prune`: complete backups that a policy no longer wants, deleted."""

from __future__ import annotations

import argparse
import re
import time
from typing import TYPE_CHECKING, Any

from ..backups.deletion import delete_backup
from ..backups.plans import plans_of
from ..backups.retention import Policy, Verdict, judge
from ..backups.survey import Backup, survey
from ..config.units import format_size
from ..errors import StorageError, Unreachable, UsageError
from . import render
from .arguments import Parser, opened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..private import Place
    from ..storage.api import Store

# A backup that is incomplete and younger than that may still run.
_MAY_RUN = 86400.0


def main(arguments: Sequence[str]) -> int:
    """Status 0 where all is as the policy wants it, 1 where a backup could not be deleted."""
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
    now = time.time()
    with opened(asked.config) as (config, store):
        backups = survey(store)
        plans = plans_of(store, backups)
        verdicts = judge(backups, plans, policy, now, _running(backups, now))
        rows = [_described(verdict) for verdict in verdicts]
        ended: Unreachable | KeyboardInterrupt | None = None
        try:
            if asked.yes:
                _delete(store, config.place, verdicts, rows, plans)
        except (Unreachable, KeyboardInterrupt) as error:
            ended = error  # what was deleted before is told all the same
    if asked.json:
        render.as_json({"url": config.url, "done": asked.yes, "policy": str(policy), "backups": rows})
    else:
        _show(config.url, rows, done=asked.yes)
    if ended is not None:
        raise ended
    return 1 if any(row["action"] == "failed" for row in rows) else 0


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of backups: expected 1 or more")
    return int(text)


def _running(backups: list[Backup], now: float) -> str:
    """The timestamp of a backup that may still run, or ""."""
    young = [
        backup.timestamp
        for backup in backups
        if backup.state == "incomplete" and backup.last_sign is not None and now - backup.last_sign < _MAY_RUN
    ]
    return young[-1] if young else ""


def _described(verdict: Verdict) -> dict[str, Any]:
    backup = verdict.backup
    return {
        "timestamp": backup.timestamp,
        "database": backup.database,
        "kind": backup.kind,
        "state": backup.state,
        "bytes": backup.size,
        "action": "delete" if verdict.goes else "keep",
        "why": verdict.why,
    }


def _delete(
    store: Store,
    place: Place,
    verdicts: list[Verdict],
    rows: list[dict[str, Any]],
    plans: Mapping[str, frozenset[str] | None],
) -> None:
    """The latest first, so that at no time anything is there without what it needs."""
    going = [(verdict, row) for verdict, row in zip(verdicts, rows, strict=True) if verdict.goes]
    failed: dict[str, frozenset[str]] = {}
    with render.progress("deleting", sum(verdict.backup.size for verdict, _ in going)) as advance:
        for verdict, row in reversed(going):
            timestamp = verdict.backup.timestamp
            needing = [one for one, plan in failed.items() if timestamp in plan]
            if needing:
                row.update(action="keep", why=f"{needing[0]} could not be deleted, and needs it")
                failed[timestamp] = plans.get(timestamp) or frozenset()
                continue
            why = row["why"]
            row.update(action="begun", why="not finished: run it again, and then `cleanup`")
            try:
                _, kept = delete_backup(store, place, timestamp, lambda _: None)
            except Unreachable:
                raise
            except StorageError as error:
                failed[timestamp] = plans.get(timestamp) or frozenset()
                row.update(action="failed", why=str(error))
            else:
                row.update(action="deleted", why=kept or why)
            advance(verdict.backup.size)


def _show(url: str, rows: list[dict[str, Any]], *, done: bool) -> None:
    if not rows:
        render.line(f"There are no backups at {url}")
        return
    columns = ("TIMESTAMP", "DATABASE", "KIND", "STATE", "SIZE", "ACTION", "WHY")
    cells = [
        (
            row["timestamp"],
            row["database"] or "?",
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
