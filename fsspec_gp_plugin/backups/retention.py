"""Which complete backups a policy lets go. Nothing here touches the storage.

Backups that need each other, a full one and the incremental ones upon it, are a set: all of it goes, or all stays.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config.values import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..integrity.cluster import Cluster
    from .survey import Backup

_LAST_FULL = "the last full one of its database"
_NOBODYS = "nothing tells whose it is: its claim can't be read, or two runs have claimed it"


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
    """Whether a backup goes, and why or why not. `held_by`: the timestamp of the unfinished run alone for which it
    stays, "" where it goes or stays for another reason.
    """

    backup: Backup
    goes: bool
    why: str
    held_by: str = ""


def judge(
    backups: list[Backup],
    plans: Mapping[str, frozenset[str] | None],
    policy: Policy,
    now: float,
    running: str = "",
    clusters: Mapping[str, Cluster | None] | None = None,
) -> list[Verdict]:
    """A verdict on each backup, in their order.

    `plans`: what each incremental one needs, by timestamp; None where that can't be told. `running`: the timestamp of
    a backup without a claim that may still run, and build upon any that is there. `clusters`: whose those with a claim
    are, by timestamp; None where that can't be told.
    """
    clusters = clusters or {}
    stays = {backup.timestamp: _left_alone(backup) for backup in backups}
    alone = {timestamp for timestamp, why in stays.items() if why}
    stays |= {one: _NOBODYS for one, cluster in clusters.items() if cluster is None and stays.get(one) == ""}
    held = _Held(unfinished(backups), running, clusters)
    groups: dict[tuple[str, tuple[str, ...]], list[Backup]] = defaultdict(list)
    for backup in backups:
        if not stays[backup.timestamp]:
            cluster = clusters.get(backup.timestamp)
            # Those without a claim are a group of their own.
            groups[(backup.database, cluster.group if cluster else ())].append(backup)
    obscure = _Obscure(backups, plans, alone)
    for (database, _), group in groups.items():
        unknown = obscure.of(database)
        for backup in group:
            if unknown:
                stays[backup.timestamp] = f"nothing tells what {unknown} needs"
            else:
                stays[backup.timestamp] = _kept_by(policy, backup, group, now)
            if stays[backup.timestamp] == _LAST_FULL:
                stays[backup.timestamp] += _of_which_group(clusters, backup)
    _keep_sets_whole(stays, plans, alone)
    holders: dict[str, str] = {}
    for backup in backups:
        if not stays[backup.timestamp]:
            holders[backup.timestamp], stays[backup.timestamp] = held.why(backup)
    _keep_sets_whole(stays, plans, alone)
    return [
        Verdict(one, not stays[one.timestamp], stays[one.timestamp] or str(policy), holders.get(one.timestamp, ""))
        for one in backups
    ]


def _of_which_group(clusters: Mapping[str, Cluster | None], backup: Backup) -> str:
    """Why the last full one of a group may stay for ever, and what deletes it; "" where later ones may come."""
    cluster = clusters.get(backup.timestamp)
    if cluster is None:
        return " that no cluster claims; `delete_backup` deletes it" if clusters else ""
    if cluster.name:
        return ""
    names = {other.name for other in clusters.values() if other is not None and other.name and cluster.is_same(other)}
    if not names:
        return ""
    return f" before the option `cluster` was {min(names)}; `delete_backup` deletes it"


def unfinished(backups: list[Backup]) -> list[str]:
    """The timestamps of those that are claimed and may still run, as far as anybody knows: gpbackup writes its report
    last, also where it fails.
    """
    return [one.timestamp for one in backups if one.claims and not one.report_key]


class _Held:
    """Why a backup stays because of others that may still run: those may build upon it."""

    def __init__(self, claimed: list[str], running: str, clusters: Mapping[str, Cluster | None]) -> None:
        self._claimed = claimed
        self._running = running
        self._clusters = clusters

    def why(self, backup: Backup) -> tuple[str, str]:
        """The timestamp of the one that holds it, and the reason; "" for both where none does."""
        cluster = self._clusters.get(backup.timestamp)
        for timestamp in self._claimed:
            theirs = self._clusters.get(timestamp)
            release = f"`cleanup CONFIG --run {timestamp} --yes` releases it"
            if theirs is None:
                return timestamp, f"{timestamp} is unfinished, and nothing tells whose it is; {release}"
            if cluster is None and _may_be_built_upon(backup):
                return timestamp, f"{timestamp} is unfinished, and may build upon it; {release}"
            if cluster is not None and _share_history(cluster, theirs):
                return timestamp, f"{timestamp} of its cluster is unfinished; {release}"
        if self._running and _may_be_built_upon(backup):
            return self._running, f"{self._running} may still run, and build upon it"
        return "", ""


def _share_history(one: Cluster, other: Cluster) -> bool:
    """Whether a backup of one may build upon those of the other: the same cluster, also after its coordinator has
    moved to another host, and a clone, as gpbackup's history is copied with the coordinator's directory.
    """
    return one.is_same(other) or (bool(one.system_identifier) and one.system_identifier == other.system_identifier)


class _Obscure:
    """Backups of which nothing tells what they need: it may be any of the same database, whosever it is."""

    def __init__(self, backups: list[Backup], plans: Mapping[str, frozenset[str] | None], alone: set[str]) -> None:
        self._any = ""
        self._of: dict[str, str] = {}
        for one in backups:
            if one.timestamp in plans and plans[one.timestamp] is None:
                # Of one that can't be read not even the database is known.
                if one.timestamp in alone:
                    self._any = self._any or one.timestamp
                else:
                    self._of.setdefault(one.database, one.timestamp)

    def of(self, database: str) -> str:
        """The timestamp of one that may need backups of that database; "" without one."""
        return self._any or self._of.get(database, "")


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
        return _LAST_FULL
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
