"""Which backups a policy lets go where several clusters share a target, and where backups are unfinished."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from fsspec_gp_plugin.backups.backup import Backup
from fsspec_gp_plugin.backups.retention import Policy, decide, unfinished_timestamps
from fsspec_gp_plugin.integrity.cluster import Cluster
from fsspec_gp_plugin.storage.contract import ObjectInfo

FIRST = datetime(2026, 1, 1)
NOW = (FIRST + timedelta(days=365)).timestamp()
A = Cluster(system_identifier="1", host="mdw-a", directory="/data")
B = Cluster(system_identifier="2", host="mdw-b", directory="/data")
Plans = dict[str, frozenset[str] | None]


def day(number: int) -> str:
    return (FIRST + timedelta(days=number)).strftime("%Y%m%d%H%M%S")


def backup(number: int, *, claimed: bool = True, finished: bool = True, database: str = "sales") -> Backup:
    claims = [ObjectInfo("claim", 1)] if claimed else []
    if not finished:
        return Backup(day(number), claims=claims)
    report = {"database name": database, "backup status": "Success", "command line": "gpbackup --leaf-partition-data"}
    return Backup(day(number), has_contents=True, report_key="x", claims=claims, report=report)


def going(backups: list[Backup], clusters: dict[str, Cluster | None], plans: Plans | None = None) -> list[str]:
    found = decide(backups, plans or {}, Policy(1, None), NOW, "", clusters)
    return [one.backup.timestamp for one in found if one.delete]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Backup], dict[str, Cluster | None], Plans]:
    """A backup a day of one of two clusters or of nobody, some unfinished, some upon any one that was there."""
    backups: list[Backup] = []
    clusters: dict[str, Cluster | None] = {}
    plans: Plans = {}
    for number in range(draw(st.integers(1, 12))):
        whose = draw(st.sampled_from([A, B, None]))
        made = backup(number, claimed=whose is not None, finished=draw(st.integers(0, 9)) > 0)
        if whose is not None:
            clusters[made.timestamp] = whose
        # Also of another cluster, as of one before the coordinator has changed.
        earlier = [one for one in backups if one.state == "complete"]
        if made.state == "complete" and earlier and draw(st.booleans()):
            base = draw(st.sampled_from(earlier)).timestamp
            plans[made.timestamp] = frozenset({base, *(plans.get(base) or ())})
            made = replace(made, report={**made.report, "incremental": "True"})
        backups.append(made)
    return backups, clusters, plans


@given(histories(), st.integers(1, 3))
def test_each_cluster_keeps_its_own_and_all_while_it_has_one_unfinished(
    history: tuple[list[Backup], dict[str, Cluster | None], Plans], keep_full: int
) -> None:
    backups, clusters, plans = history
    verdicts = decide(backups, plans, Policy(keep_full, None), NOW, "", clusters)
    kept = {one.backup.timestamp for one in verdicts if not one.delete}
    held = {clusters.get(timestamp) for timestamp in unfinished_timestamps(backups)}
    for whose in (A, B, None):
        own = [one for one in backups if clusters.get(one.timestamp) == whose and one.state == "complete"]
        full = [one.timestamp for one in own if one.kind == "full"]
        assert len(kept & set(full)) >= min(len(full), keep_full)
        if whose in held or (whose is None and held):
            assert {one.timestamp for one in own} <= kept
    # Chains, whosever their backups are.
    assert all((plans.get(timestamp) or frozenset()) <= kept for timestamp in kept)
    assert all(one.why for one in verdicts)


def test_what_holds_a_cluster_is_its_own_and_of_any_age() -> None:
    backups = [backup(0), backup(1), backup(2), backup(3), backup(100, finished=False)]
    whose: dict[str, Cluster | None] = {day(0): A, day(1): A, day(2): B, day(3): B, day(100): A}
    assert going(backups, whose) == [day(2)]
    assert going(backups, whose | {day(100): B}) == [day(0)]
    # Whose claim can't be read may be anybody.
    assert going(backups, whose | {day(100): None}) == []
    assert going(backups[:4], whose) == [day(0), day(2)]
    # A name that came later is no other cluster to what holds it.
    assert going(backups, whose | {day(100): A._replace(name="sales")}) == [day(2)]


def test_a_name_makes_one_cluster_of_two_coordinators() -> None:
    backups = [backup(0), backup(1)]
    moved = A._replace(host="smdw")
    assert going(backups, {day(0): A, day(1): moved}) == []
    assert going(backups, {day(0): A._replace(name="sales"), day(1): moved._replace(name="sales")}) == [day(0)]
    # The clone of a database has its system identifier.
    assert going(backups, {day(0): A, day(1): A._replace(host="mdw-c")}) == []


def test_what_nobody_knows_the_needs_of_holds_its_database_whosever_it_is() -> None:
    backups = [backup(0), backup(1), backup(2), backup(3), backup(4, database="hr"), backup(5, database="hr")]
    whose: dict[str, Cluster | None] = {day(number): A if number < 2 else B for number in range(6)}
    assert going(backups, whose) == [day(0), day(2), day(4)]
    assert going(backups, whose, {day(3): None}) == [day(4)]


def test_a_set_stays_whole_where_nothing_tells_whose_one_of_it_is() -> None:
    backups = [backup(0), backup(1), backup(2), backup(3)]
    backups[1] = replace(backups[1], report={**backups[1].report, "incremental": "True"})
    plans: Plans = {day(1): frozenset({day(0)})}
    whose: dict[str, Cluster | None] = {day(number): A for number in range(4)}
    assert going(backups, whose, plans) == [day(0), day(1), day(2)]
    for unknown in (day(0), day(1)):
        assert going(backups, whose | {unknown: None}, plans) == [day(2)]


def test_a_run_holds_what_its_cluster_made_before_its_coordinator_moved() -> None:
    """Gpbackup's history moves with the coordinator's directory, and so does what an incremental backup builds upon."""
    backups = [backup(0), backup(1), backup(2, finished=False)]
    moved = A._replace(host="smdw", directory="/other")
    whose: dict[str, Cluster | None] = {day(0): A, day(1): A, day(2): moved}
    assert going(backups, whose) == []
    assert going(backups, whose | {day(2): moved._replace(name="sales")}) == []
    # Where nothing tells the system's identifier, the host counts.
    assert going(backups, whose | {day(2): moved._replace(system_identifier="")}) == [day(0)]
    assert going(backups, {**dict.fromkeys((day(0), day(1)), A._replace(system_identifier="")), day(2): moved}) == [
        day(0)
    ]


def test_what_has_a_report_is_no_run_that_holds_anything() -> None:
    """Gpbackup writes it last, also when it fails; and a deletion that is interrupted leaves it."""
    backups = [backup(0), backup(1), replace(backup(2), has_contents=False)]
    whose: dict[str, Cluster | None] = {day(number): A for number in range(3)}
    for status, state in (("Success", "incomplete"), ("Failure", "failed")):
        backups[2].report["backup status"] = status
        assert (backups[2].state, unfinished_timestamps(backups)) == (state, [])
        assert going(backups, whose) == [day(0)]
    assert unfinished_timestamps([replace(backups[2], report_key="")]) == [day(2)]


def test_only_what_a_policy_lets_go_is_held_by_a_run() -> None:
    backups = [backup(0), backup(1), backup(2), backup(3, finished=False)]
    backups[1] = replace(backups[1], report={**backups[1].report, "incremental": "True"})
    whose: dict[str, Cluster | None] = {day(number): A for number in range(4)}
    plans: Plans = {day(1): frozenset({day(0)})}
    for keep_full, held in ((1, {day(0), day(1)}), (2, set())):
        found = decide(backups, plans, Policy(keep_full, None), NOW, "", whose)
        assert {one.backup.timestamp for one in found if one.held_by == day(3)} == held
        assert {one.held_by for one in found} <= {day(3), ""}


def test_the_last_full_one_of_before_a_name_is_told_to_be_that() -> None:
    backups = [backup(0), backup(1), backup(2)]
    named = A._replace(name="sales")
    found = decide(backups, {}, Policy(1, None), NOW, "", {day(0): A, day(1): named, day(2): B})
    assert [one.why.removeprefix("the last full backup of its database") for one in found] == [
        " before the option `cluster` was sales; `delete_backup` deletes it",
        "",
        "",
    ]
