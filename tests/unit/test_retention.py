"""Which backups a policy lets go, whatever there is."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsspec_gp_plugin.backups.backup import Backup
from fsspec_gp_plugin.backups.backup_deletion import delete_all
from fsspec_gp_plugin.backups.ownership import read_clusters
from fsspec_gp_plugin.backups.retention import Policy, decide, unfinished_timestamps
from fsspec_gp_plugin.backups.survey import survey
from fsspec_gp_plugin.errors import StorageError
from fsspec_gp_plugin.integrity.claim import NAME, new_claim
from fsspec_gp_plugin.integrity.cluster import Cluster
from fsspec_gp_plugin.keys import backup_prefix
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fsspec_gp_plugin.storage.contract import ObjectInfo

FIRST = datetime(2026, 1, 1)
Plans = dict[str, frozenset[str] | None]


def day(number: int) -> str:
    return (FIRST + timedelta(days=number)).strftime("%Y%m%d%H%M%S")


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Backup], Plans]:
    """A backup a day: full ones, and incremental ones upon any that is there already, of two databases."""
    backups: list[Backup] = []
    plans: Plans = {}
    for number in range(draw(st.integers(1, 12))):
        database = draw(st.sampled_from(["sales", "hr"]))
        earlier = [one for one in backups if one.database == database]
        incremental = bool(earlier) and draw(st.booleans())
        report = {"database name": database, "incremental": str(incremental), "backup status": "Success"}
        backup = Backup(day(number), has_contents=True, report_key="x", report=report)
        if incremental:
            base = draw(st.sampled_from(earlier)).timestamp
            plans[backup.timestamp] = frozenset({base, *(plans.get(base) or ())})
        backups.append(backup)
    return backups, plans


@given(histories(), st.none() | st.integers(1, 4), st.none() | st.integers(0, 12))
def test_what_is_kept_can_be_restored_and_each_database_has_a_full_one(
    history: tuple[list[Backup], Plans], keep_full: int | None, days: int | None
) -> None:
    backups, plans = history
    now = (FIRST + timedelta(days=12)).timestamp()
    policy = Policy(keep_full, None if days is None else days * 86400.0)
    if keep_full is None and days is None:
        return
    verdicts = decide(backups, plans, policy, now)
    assert [one.backup for one in verdicts] == backups
    assert all(one.why for one in verdicts)
    kept = [one.backup for one in verdicts if not one.delete]
    stamps = {backup.timestamp for backup in kept}
    assert all((plans.get(stamp) or frozenset()) <= stamps for stamp in stamps)
    for database in {backup.database for backup in backups}:
        full = [one for one in backups if one.database == database and one.kind == "full"]
        assert full[-1] in kept
        assert len([one for one in full if one in kept]) >= min(len(full), keep_full or 1)
    if days is not None:
        assert all(one.delete is False or now - (one.backup.time or now) >= days * 86400 for one in verdicts)
    # Again, of what is left: nothing more goes.
    assert not any(one.delete for one in decide(kept, {k: v for k, v in plans.items() if k in stamps}, policy, now))


def full(number: int, **changed: str) -> Backup:
    """A complete one of that day; what is `changed` of its report to "" is not in it."""
    report = {"database_name": "sales", "backup_status": "Success", "command_line": "gpbackup --leaf-partition-data"}
    told = {name.replace("_", " "): text for name, text in {**report, **changed}.items() if text}
    return Backup(day(number), has_contents=True, report_key="x", report=told)


def going(backups: list[Backup], plans: Plans, policy: Policy, now: float, running: str = "") -> list[str]:
    return [one.backup.timestamp for one in decide(backups, plans, policy, now, running) if one.delete]


ANY_AGE = Policy(None, 0)
MUCH_LATER = (FIRST + timedelta(days=365)).timestamp()


@pytest.mark.parametrize("plan", [None, frozenset({day(1)})], ids=["unknown", "known"])
def test_a_backup_of_which_nothing_can_be_read_holds_what_it_may_need(plan: frozenset[str] | None) -> None:
    """Not even its database is known: it may need any backup of any database."""
    backups = [full(0, database_name="hr"), full(1), full(2, database_name="", backup_status=""), full(3)]
    backups.append(full(4, database_name="hr"))
    plans = {day(2): plan}
    assert going(backups, plans, ANY_AGE, MUCH_LATER) == ([] if plan is None else [day(0)])
    if plan is None:
        whys = [one.why for one in decide(backups, plans, ANY_AGE, MUCH_LATER)]
        told = f"it is unknown what {day(2)} needs"
        assert whys == [told, told, "its report can't be read", told, told]


@pytest.mark.parametrize(
    ("command", "goes"),
    [("gpbackup --leaf-partition-data", False), ("", False), ("gpbackup --dbname sales", True)],
    ids=["can be built upon", "nothing tells", "can not be built upon"],
)
def test_what_a_running_backup_may_build_upon_stays(command: str, goes: bool) -> None:
    backups = [full(0, command_line=command), full(1)]
    assert going(backups, {}, ANY_AGE, MUCH_LATER) == [day(0)]
    assert going(backups, {}, ANY_AGE, MUCH_LATER, running=day(2)) == ([day(0)] if goes else [])


@pytest.mark.parametrize(("seconds", "goes"), [(-1.0, False), (0.0, True), (1.0, True)])
def test_a_backup_goes_from_the_very_age_that_the_policy_names(seconds: float, goes: bool) -> None:
    backups = [full(0), full(1)]
    week = 7 * 86400.0
    now = (backups[0].time or 0) + week + seconds
    assert going(backups, {}, Policy(None, week), now) == ([day(0)] if goes else [])


class _Failing(FakeStore):
    """A store whose deletions fail after so many keys, as for a process that is killed."""

    left = 1

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            if not self.left:
                raise StorageError("no more")
            self.left -= 1
            super().delete([key])


@pytest.mark.parametrize("left", range(5))
def test_a_deletion_that_is_interrupted_leaves_the_claim(left: int) -> None:
    """Whatever it has come to: what is left still says whose it is."""
    store = _Failing()
    store.left = left
    prefix, cluster = backup_prefix(day(0)), Cluster(host="mdw")
    names = ("a", f"gpbackup_{day(0)}_report", f"gpbackup_{day(0)}_toc.yaml", "fsspec_gp_plugin/z.0123456789ab.mark")
    claims = {prefix + NAME, prefix + new_claim(day(0), cluster).own_name}
    for key in (*claims, *(prefix + name for name in names)):
        store.objects[key] = new_claim(day(0), cluster).encode()
    with pytest.raises(StorageError, match="no more"):
        delete_all(store, prefix, lambda _: None)
    assert (len(store.objects), claims <= store.objects.keys()) == (6 - left, True)
    assert set(read_clusters(store, survey(store))) == {day(0)}
    # That gpbackup has ended is told until nothing but claims is left, so it holds no other backup.
    assert bool(unfinished_timestamps(survey(store))) == (left == 4)
    store.left = 100
    # As by the path of a day.
    assert delete_all(store, prefix[: -len(day(0)) - 1], lambda _: None) == 6 - left
    assert not store.objects


def test_a_backup_that_is_half_deleted_is_incomplete() -> None:
    store = _Failing()
    prefix = backup_prefix(day(0))
    for name in ("a", f"gpbackup_{day(0)}_report", f"gpbackup_{day(0)}_toc.yaml", "z"):
        store.objects[prefix + name] = b"backup status: Success"
    assert [one.state for one in survey(store)] == ["complete"]
    with pytest.raises(StorageError, match="no more"):
        delete_all(store, prefix, lambda _: None)
    [backup] = survey(store)
    assert (backup.state, backup.objects) == ("incomplete", 3)
    store.left = 100
    assert delete_all(store, prefix, lambda _: None) == 3
    assert not store.objects


class _Reading(FakeStore):
    """Reads its whole directory for each listing, as disks do; some objects it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.capabilities = self.capabilities._replace(lists_by_prefix=False)
        self.listings = 0

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        self.listings += 1
        return super().find(prefix, unfinished=unfinished)

    def delete(self, keys: Iterable[str]) -> None:
        super().delete(key for key in keys if not key.endswith("kept"))


@pytest.mark.parametrize("kept", [0, 3])
def test_a_directory_is_not_read_anew_for_each_batch_of_a_deletion(kept: int) -> None:
    store = _Reading()
    prefix = backup_prefix(day(0))
    store.objects = {f"{prefix}{n}": b"" for n in range(45_000)} | {f"{prefix}{n} kept": b"" for n in range(kept)}
    with nullcontext() if not kept else pytest.raises(StorageError, match="kept is still there"):
        assert delete_all(store, prefix, lambda _: None) == 45_000
    assert len(store.objects) == kept
    assert store.listings <= 3
