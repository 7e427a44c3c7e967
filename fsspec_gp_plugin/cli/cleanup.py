"""`cleanup`: deletes incomplete and failed backups, unfinished uploads, and working files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..backups.deletion_progress import DeletionProgress
from ..backups.leftovers import BACKUP, Leftover, find_leftovers, find_leftovers_of_run, remove_leftover
from ..config.values import format_duration, format_size
from ..errors import StorageError, Unreachable, UsageError
from ..keys import timestamp_of
from . import render
from .arguments import Parser, timestamp
from .open_target import open_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..private import Place
    from ..storage.contract import Store

_DAY = 86400.0


def main(argv: Sequence[str]) -> int:
    """Show or delete leftovers; returns 1 if something could not be searched for or deleted, else 0."""
    parser = Parser("cleanup")
    parser.add_older_than("keep what was started or written to more recently than this (default: 24h)")
    of_run = "delete the leftovers of this run only, whatever their age; make sure that its gpbackup has ended"
    parser.add_argument("--run", metavar="TIMESTAMP", type=timestamp, help=of_run)
    parser.add_yes()
    parser.add_json()
    arguments = parser.parse_args(argv)
    if arguments.run and arguments.older_than is not None:
        raise UsageError("--run ignores the age: use it without --older-than")
    now = time.time()
    problems: list[str] = []
    with open_target(arguments.config) as (config, store):
        if arguments.run:
            found = find_leftovers_of_run(store, arguments.run, problems.append)
        else:
            age = _DAY if arguments.older_than is None else arguments.older_than
            found = find_leftovers(store, now - age, problems.append)
        rows = [_row(one, now) for one in found]
        ended: Unreachable | KeyboardInterrupt | None = None
        try:
            for one, row in zip(found, rows, strict=True):
                if arguments.yes and not one.stays:
                    _remove(store, config.place, one, row)
        except (Unreachable, KeyboardInterrupt) as error:
            ended = error  # first the output shows what was already removed
    if arguments.json:
        render.as_json({"url": config.url, "done": arguments.yes, "leftovers": rows, "problems": problems})
    else:
        _show(config.url, rows, problems, arguments.run, done=arguments.yes)
    if ended is not None:
        raise ended
    return 1 if problems or any(row["action"] == "failed" for row in rows) else 0


def _row(one: Leftover, now: float) -> dict[str, Any]:
    return {
        "what": one.what,
        "prefix": one.prefix,
        "timestamp": timestamp_of(one.prefix) if one.what == BACKUP else "",
        "state": one.state,
        "database": one.database,
        "cluster": one.cluster or None,
        "count": one.count,
        "bytes": one.size,
        "age_seconds": None if one.started is None else max(0, int(now - one.started)),
        "action": "keep" if one.stays else "delete",
        "why": one.stays or _why(one),
    }


def _why(one: Leftover) -> str:
    if one.what != BACKUP:
        return "nothing completed them"
    if one.state == "failed":
        why = "gpbackup's report says it failed"
    elif one.is_over:
        why = "its gpbackup was interrupted or killed"
    elif one.has_ended:
        why = "it was deleted in part: its report is there, its table of contents is not"
    else:
        why = "gpbackup did not finish"
    return f"{why}; it belongs to {one.cluster}" if one.cluster else why


def _remove(store: Store, place: Place, one: Leftover, row: dict[str, Any]) -> None:
    why = row["why"]
    row.update(action="begun", why="not finished: run `cleanup` again")
    try:
        with render.status() as show:
            progress = DeletionProgress(show=lambda done: show(f"{one.prefix}: {done}"))
            kept = remove_leftover(store, place, one, progress)
    except Unreachable:
        raise
    except StorageError as error:
        row.update(action="failed", why=str(error))
    else:
        row.update(action="deleted", why=kept or why)


def _show(url: str, leftovers: list[dict[str, Any]], problems: list[str], run: str | None, *, done: bool) -> None:
    if leftovers:
        columns = ("WHAT", "WHERE", "DATABASE", "COUNT", "SIZE", "AGE", "ACTION", "WHY")
        rows = [
            (
                f"{row['state']} {row['what']}".lstrip(),
                row["prefix"],
                row["database"] or "?",
                f"{row['count']:,}",
                "?" if row["bytes"] is None else format_size(row["bytes"]),
                "?" if row["age_seconds"] is None else format_duration(row["age_seconds"]),
                row["action"],
                row["why"],
            )
            for row in leftovers
        ]
        render.table(columns, rows, right=("COUNT", "SIZE", "AGE"), wrapped="WHY")
    for problem in problems:
        render.line(problem)
    count = sum(row["action"] == "delete" for row in leftovers)
    if count and not done:
        rows_marked = f"the {count} rows" if count > 1 else "the row"
        render.line(f"Dry run: nothing was deleted. Add --yes to delete {rows_marked} marked 'delete'.")
    elif not leftovers and not problems:
        render.line(f"There is nothing{f' of {run}' if run else ''} to clean up at {url}")
