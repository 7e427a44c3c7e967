"""Decides which complete backups a policy deletes. Nothing here accesses the storage.

Backups that need each other, a full one and the incremental ones based on it, are deleted together or kept together.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config.values import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..integrity.cluster import Cluster
    from .backup import Backup

_LAST_FULL = "the last full backup of its database"
_UNKNOWN_OWNER = "it is unknown whose it is: its claim can't be read, or two runs have claimed it"


@dataclass(frozen=True)
class Policy:
    """A backup is deleted if it is no longer needed for the `keep_full` latest full backups of its database, and is
    older than `older_than` seconds. None means no such condition; at least one of the two is given.
    """

    keep_full: int | None
    older_than: float | None

    def __str__(self) -> str:
        by_age = "" if self.older_than is None else f"older than {format_duration(self.older_than)}"
        by_count = "" if self.keep_full is None else f"older than the {_full_backups(self.keep_full)} to keep"
        return " and ".join(part for part in (by_age, by_count) if part)


@dataclass
class Decision:
    """Whether to delete a backup, and why or why not. `held_by`: the timestamp of the unfinished run that is the only
    reason to keep it, otherwise "".
    """

    backup: Backup
    delete: bool
    why: str
    held_by: str = ""


def decide(
    backups: list[Backup],
    plans: Mapping[str, frozenset[str] | None],
    policy: Policy,
    now: float,
    running: str = "",
    clusters: Mapping[str, Cluster | None] | None = None,
) -> list[Decision]:
    """Decide on each backup, in their order.

    `plans`: which backups each incremental one needs, by timestamp; None if unknown. `running`: the timestamp of a
    backup without a claim that may still run, and so may need any other backup. `clusters`: the clusters of backups
    with a claim, by timestamp; None if unknown.
    """
    clusters = clusters or {}
    stays = {backup.timestamp: _why_not_judged(backup) for backup in backups}
    alone = {timestamp for timestamp, why in stays.items() if why}
    stays |= {one: _UNKNOWN_OWNER for one, cluster in clusters.items() if cluster is None and stays.get(one) == ""}
    holds = _Holds(unfinished_timestamps(backups), running, clusters)
    groups: dict[tuple[str, tuple[str, ...]], list[Backup]] = defaultdict(list)
    for backup in backups:
        if not stays[backup.timestamp]:
            cluster = clusters.get(backup.timestamp)
            # Backups without a claim are a group of their own.
            groups[(backup.database, cluster.group if cluster else ())].append(backup)
    unknown_plans = _UnknownPlans(backups, plans, alone)
    for (database, _), group in groups.items():
        unknown = unknown_plans.of(database)
        for backup in group:
            if unknown:
                stays[backup.timestamp] = f"it is unknown what {unknown} needs"
            else:
                stays[backup.timestamp] = _why_kept(policy, backup, group, now)
            if stays[backup.timestamp] == _LAST_FULL:
                stays[backup.timestamp] += _group_text(clusters, backup)
    _keep_sets_whole(stays, plans, alone)
    holders: dict[str, str] = {}
    for backup in backups:
        if not stays[backup.timestamp]:
            holders[backup.timestamp], stays[backup.timestamp] = holds.why(backup)
    _keep_sets_whole(stays, plans, alone)
    return [
        Decision(one, not stays[one.timestamp], stays[one.timestamp] or str(policy), holders.get(one.timestamp, ""))
        for one in backups
    ]


def _group_text(clusters: Mapping[str, Cluster | None], backup: Backup) -> str:
    """Why the last full backup of a group may stay for ever, and how to delete it. "" if later ones may follow."""
    cluster = clusters.get(backup.timestamp)
    if cluster is None:
        return " that no cluster claims; `delete_backup` deletes it" if clusters else ""
    if cluster.name:
        return ""
    names = {other.name for other in clusters.values() if other is not None and other.name and cluster.is_same(other)}
    if not names:
        return ""
    return f" before the option `cluster` was {min(names)}; `delete_backup` deletes it"


def unfinished_timestamps(backups: list[Backup]) -> list[str]:
    """The timestamps of claimed backups without a report, which may still run: gpbackup writes its report last, also if
    it fails.
    """
    return [one.timestamp for one in backups if one.claims and not one.report_key]


class _Holds:
    """Backups that may still run, and keep others because they may need them."""

    def __init__(self, claimed: list[str], running: str, clusters: Mapping[str, Cluster | None]) -> None:
        self._claimed = claimed
        self._running = running
        self._clusters = clusters

    def why(self, backup: Backup) -> tuple[str, str]:
        """The timestamp of the unfinished backup that keeps this one, and the reason. Both are "" if none does."""
        cluster = self._clusters.get(backup.timestamp)
        for timestamp in self._claimed:
            theirs = self._clusters.get(timestamp)
            release = f"`cleanup CONFIG --run {timestamp} --yes` releases it"
            if theirs is None:
                return timestamp, f"{timestamp} is unfinished, and it is unknown whose it is; {release}"
            if cluster is None and _may_be_built_upon(backup):
                return timestamp, f"{timestamp} is unfinished, and may need it; {release}"
            if cluster is not None and _share_history(cluster, theirs):
                return timestamp, f"{timestamp} of its cluster is unfinished; {release}"
        if self._running and _may_be_built_upon(backup):
            return self._running, f"{self._running} may still run, and need it"
        return "", ""


def _share_history(one: Cluster, other: Cluster) -> bool:
    """Whether backups of one cluster may need those of the other: it is the same cluster, even if its coordinator has
    moved to another host, or a clone, as gpbackup's history is copied with the coordinator's directory.
    """
    return one.is_same(other) or (bool(one.system_identifier) and one.system_identifier == other.system_identifier)


class _UnknownPlans:
    """Backups whose needed backups are unknown: they may need any of the same database, of any cluster."""

    def __init__(self, backups: list[Backup], plans: Mapping[str, frozenset[str] | None], alone: set[str]) -> None:
        self._any = ""
        self._of: dict[str, str] = {}
        for one in backups:
            if one.timestamp in plans and plans[one.timestamp] is None:
                # If its report can't be read, not even its database is known.
                if one.timestamp in alone:
                    self._any = self._any or one.timestamp
                else:
                    self._of.setdefault(one.database, one.timestamp)

    def of(self, database: str) -> str:
        """The timestamp of one that may need backups of that database. "" if there is none."""
        return self._any or self._of.get(database, "")


def _why_not_judged(backup: Backup) -> str:
    if backup.state in ("incomplete", "failed"):
        return f"{backup.state}: see `cleanup`"
    if backup.state != "complete" or not backup.database:
        return backup.why_unknown
    return ""


def _may_be_built_upon(backup: Backup) -> bool:
    """Whether an incremental backup may need it: gpbackup requires a file for each leaf partition for that."""
    return backup.has_leaf_data is not False


def _why_kept(policy: Policy, backup: Backup, group: list[Backup], now: float) -> str:
    """Why a backup is kept for its own sake, otherwise "". `group`: the backups of its database, the latest last."""
    full = [one.timestamp for one in group if one.kind == "full"]
    if full and backup.timestamp == full[-1]:
        return _LAST_FULL
    later_full = bool(full) and full[-1] > backup.timestamp
    last = [one.timestamp for one in group if one.kind == backup.kind][-1] == backup.timestamp
    if last and not later_full:
        return f"the last {backup.kind} backup, and no full one is later"
    if policy.older_than is not None:
        if backup.time is None:
            return "its timestamp is not a time"
        if now - backup.time < policy.older_than:
            return f"not older than {format_duration(policy.older_than)}"
    if policy.keep_full is not None:
        kept = full[-policy.keep_full :]
        if len(kept) < policy.keep_full:
            return f"its database has {len(full)} of {policy.keep_full} full backups to keep"
        if backup.timestamp in kept:
            return f"one of the {_full_backups(policy.keep_full)} to keep"
        if backup.timestamp > kept[0]:
            return f"later than the oldest of the {_full_backups(policy.keep_full)} to keep"
    return ""


def _full_backups(count: int) -> str:
    return f"{count} latest full backups" if count > 1 else "latest full backup"


def _keep_sets_whole(stays: dict[str, str], plans: Mapping[str, frozenset[str] | None], alone: set[str]) -> None:
    """Keep what a kept backup needs, and what needs it. A backup that needs one of `alone` is of no use, and may go."""
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
                    f"{kept} needs it" if other in (plans.get(kept) or ()) else f"it needs {kept}, which is kept"
                )
                pending.append(other)
