"""`cleanup`: incomplete and failed backups, uploads that nobody ended, and working files, removed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..backups.leftovers import BACKUP, Leftover, find_leftovers, find_leftovers_of_run, remove_leftover
from ..config.units import format_duration, format_size
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


def main(arguments: Sequence[str]) -> int:
    """Status 0 where nothing is wrong, 1 where something could not be looked for or removed."""
    parser = Parser("cleanup")
    parser.add_older_than("leave what was begun or written to later than so long ago (24h)")
    of_run = "only what this run has left, its claim last, however young: when you know that gpbackup has ended"
    parser.add_argument("--run", metavar="TIMESTAMP", type=timestamp, help=of_run)
    parser.add_yes()
    parser.add_json()
    asked = parser.parse_args(arguments)
    if asked.run and asked.older_than is not None:
        raise UsageError("--run names a run, whatever its age: leave out --older-than")
    now = time.time()
    problems: list[str] = []
    with open_target(asked.config) as (config, store):
        if asked.run:
            found = find_leftovers_of_run(store, asked.run, problems.append)
        else:
            age = _DAY if asked.older_than is None else asked.older_than
            found = find_leftovers(store, now - age, problems.append)
        told = [_described(one, now) for one in found]
        ended: Unreachable | KeyboardInterrupt | None = None
        try:
            for one, row in zip(found, told, strict=True):
                if asked.yes and not one.stays:
                    _remove(store, config.place, one, row)
        except (Unreachable, KeyboardInterrupt) as error:
            ended = error  # what was removed before is told all the same
    if asked.json:
        render.as_json({"url": config.url, "done": asked.yes, "leftovers": told, "problems": problems})
    else:
        _show(config.url, told, problems, asked.run, done=asked.yes)
    if ended is not None:
        raise ended
    return 1 if problems or any(row["action"] == "failed" for row in told) else 0


def _described(one: Leftover, now: float) -> dict[str, Any]:
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
        return "nobody completed them"
    if one.state == "failed":
        why = "gpbackup's report calls it failed"
    elif one.is_over:
        why = "its gpbackup was interrupted or killed"
    elif one.has_ended:
        why = "its report is there, its table of contents is not: it was deleted in part"
    else:
        why = "gpbackup did not come to its end"
    return f"{why}; it is of {one.cluster}" if one.cluster else why


def _remove(store: Store, place: Place, one: Leftover, row: dict[str, Any]) -> None:
    why = row["why"]
    row.update(action="begun", why="not finished: run it again")
    try:
        kept = remove_leftover(store, place, one, lambda _: None)
    except Unreachable:
        raise
    except StorageError as error:
        row.update(action="failed", why=str(error))
    else:
        row.update(action="deleted", why=kept or why)


def _show(url: str, told: list[dict[str, Any]], problems: list[str], run: str | None, *, done: bool) -> None:
    if told:
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
            for row in told
        ]
        render.table(columns, rows, right=("COUNT", "SIZE", "AGE"), wrapped="WHY")
    for problem in problems:
        render.line(problem)
    going = sum(row["action"] == "delete" for row in told)
    if going and not done:
        render.line(f"Nothing was deleted; `--yes` deletes what is marked so ({going})")
    elif not told and not problems:
        render.line(f"There is nothing{f' of {run}' if run else ''} to clean up at {url}")
