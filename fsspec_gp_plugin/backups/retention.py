"""Which complete backups a policy lets go. Nothing here touches the storage.

Backups that need each other, a full one and the incremental ones upon it, are a set: all of it goes, or all stays.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .survey import Backup


@dataclass(frozen=True)
class Policy:
    """A backup may go when both allow it: it is no longer needed for the `keep_full` latest full ones of its database,
    and it is older than `older_than` seconds. None allows everything; one of the two is given.
    """

    keep_full: int | None
    older_than: float | None

    def __str__(self) -> str:
        by_age = "" if self.older_than is None else f"older than {format_duration(self.older_than)}"
        by_count = "" if self.keep_full is None else f"older than the {_full_ones(self.keep_full)} to keep"
        return " and ".join(part for part in (by_age, by_count) if part)


@dataclass
class Verdict:
    """Whether a backup goes, and why or why not."""

    backup: Backup
    goes: bool
    why: str


def judge(
    backups: list[Backup],
    plans: Mapping[str, frozenset[str] | None],
    policy: Policy,
    now: float,
    running: str = "",
) -> list[Verdict]:
    """A verdict on each backup, in their order.

    `plans`: what each incremental one needs, by timestamp; None where that can't be told. `running`: the timestamp of
    a backup that may still run, and build upon any that is there.
    """
    stays = {backup.timestamp: _left_alone(backup) for backup in backups}
    alone = {timestamp for timestamp, why in stays.items() if why}
    groups: dict[str, list[Backup]] = defaultdict(list)
    for backup in backups:
        if not stays[backup.timestamp]:
            groups[backup.database].append(backup)
    # Of these not even the database is known.
    obscure = [stamp for stamp, why in stays.items() if why and stamp in plans and plans[stamp] is None]
    for group in groups.values():
        unknown = obscure or [one.timestamp for one in group if one.timestamp in plans and plans[one.timestamp] is None]
        for backup in group:
            if unknown:
                stays[backup.timestamp] = f"nothing tells what {unknown[0]} needs"
            elif running and _may_be_built_upon(backup):
                stays[backup.timestamp] = f"{running} may still run, and build upon it"
            else:
                stays[backup.timestamp] = _kept_by(policy, backup, group, now)
    _keep_sets_whole(stays, plans, alone)
    return [Verdict(one, not stays[one.timestamp], stays[one.timestamp] or str(policy)) for one in backups]


def _left_alone(backup: Backup) -> str:
    if backup.state in ("incomplete", "failed"):
        return f"{backup.state}: see `cleanup`"
    if backup.state != "complete" or not backup.database:
        return "its report can't be read"
    return ""


def _may_be_built_upon(backup: Backup) -> bool:
    """Whether it can be: gpbackup builds upon backups with a file for each leaf partition only."""
    command = backup.report.get("command line", "")
    return not command or "--leaf-partition-data" in command


def _kept_by(policy: Policy, backup: Backup, group: list[Backup], now: float) -> str:
    """Why a backup stays by itself; "" where it needn't. `group`: those of its database, the latest last."""
    full = [one.timestamp for one in group if one.kind == "full"]
    if full and backup.timestamp == full[-1]:
        return "the last full one of its database"
    later_full = bool(full) and full[-1] > backup.timestamp
    last = [one.timestamp for one in group if one.kind == backup.kind][-1] == backup.timestamp
    if last and not later_full:
        return f"the last {backup.kind} one, and no full one is later"
    if policy.older_than is not None:
        if backup.time is None:
            return "its timestamp is no time"
        if now - backup.time < policy.older_than:
            return f"not older than {format_duration(policy.older_than)}"
    if policy.keep_full is not None:
        kept = full[-policy.keep_full :]
        if len(kept) < policy.keep_full:
            return f"its database has {len(full)} of {policy.keep_full} full ones to keep"
        if backup.timestamp in kept:
            return f"one of the {_full_ones(policy.keep_full)} to keep"
        if backup.timestamp > kept[0]:
            return f"later than the oldest of the {_full_ones(policy.keep_full)} to keep"
    return ""


def _full_ones(count: int) -> str:
    return f"{count} latest full ones" if count > 1 else "latest full one"


def _keep_sets_whole(stays: dict[str, str], plans: Mapping[str, frozenset[str] | None], alone: set[str]) -> None:
    """What belongs to a backup that stays, stays too; what builds upon one of `alone` needn't, as that is of no use."""
    beside: dict[str, set[str]] = defaultdict(set)
    for timestamp, needed in plans.items():
        for other in needed or ():
            beside[timestamp].add(other)
            if other not in alone:
                beside[other].add(timestamp)
    pending = [timestamp for timestamp, why in stays.items() if why and beside[timestamp]]
    while pending:
        kept = pending.pop()
        for other in beside[kept]:
            if stays.get(other) == "":
                stays[other] = (
                    f"{kept} needs it" if other in (plans.get(kept) or ()) else f"it builds upon {kept}, which stays"
                )
                pending.append(other)
