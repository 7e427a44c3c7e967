"""`prune` looks again before each deletion."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.backups.retention import Policy
from fsspec_gp_plugin.cli import prune
from fsspec_gp_plugin.errors import StorageError
from fsspec_gp_plugin.integrity.cluster import Cluster
from fsspec_gp_plugin.keys import backup_prefix, timestamp_of
from fsspec_gp_plugin.private import Place
from fsspec_gp_plugin.storage.contract import Upload
from tests.cli.arranged import ago, put_backup, put_claim
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import Any

A, B = Cluster(host="mdw-a"), Cluster(host="mdw-b")


class _Living(FakeStore):
    """Something happens there while the first backup is deleted."""

    def __init__(self, happens: Callable[[FakeStore], None]) -> None:
        super().__init__()
        self.deleted: list[str] = []
        self._happens: Callable[[FakeStore], None] | None = happens

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            super().delete([key])
            if (stamp := timestamp_of("/".join(key.split("/")[:3]) + "/")) not in self.deleted:
                self.deleted.append(stamp)
        happens, self._happens = self._happens, None
        if happens is not None:
            happens(self)


def pruned(store: FakeStore, folder: Path, policy: Policy) -> dict[str, dict[str, Any]]:
    found = prune._Found(store, policy)
    rows = [found.row(verdict) for verdict in found.decisions]
    prune._delete(found, Place("memory://", str(folder)), rows)
    return {row["timestamp"]: row for row in rows}


def test_a_backup_that_begins_meanwhile_holds_what_it_may_build_upon(tmp_path: Path) -> None:
    """Its claim comes while the first of the backups is deleted: those that are left stay, of its cluster alone."""
    ours, others, running = [ago(30), ago(25), ago(20)], [ago(29), ago(28)], ago(0)
    store = _Living(lambda store: put_claim(store, running, A))
    for stamps, cluster in ((ours, A), (others, B)):
        for timestamp in stamps:
            put_backup(store, timestamp, cluster=cluster)
    rows = pruned(store, tmp_path, Policy(1, None))
    assert store.deleted == [ours[1], others[0]]
    assert rows[ours[0]]["action"] == "keep"
    assert f"cleanup CONFIG --run {running}" in rows[ours[0]]["why"]
    assert rows[others[0]]["action"] == "deleted"


def test_a_backup_that_has_begun_and_ended_meanwhile_keeps_what_it_builds_upon(tmp_path: Path) -> None:
    ours = [ago(30), ago(25), ago(20)]
    upon = ago(0)
    store = _Living(lambda store: put_backup(store, upon, needs=[ours[0]], cluster=A))
    for timestamp in ours:
        put_backup(store, timestamp, cluster=A)
    rows = pruned(store, tmp_path, Policy(1, None))
    assert [rows[timestamp]["action"] for timestamp in ours] == ["keep", "deleted", "keep"]
    assert rows[ours[0]]["why"] == f"{upon} needs it"


def test_nothing_that_happens_elsewhere_costs_another_survey(tmp_path: Path) -> None:
    """A look is a listing of the last days; only where it finds something new all is looked at again."""
    store = FakeStore()
    stamps = [ago(days) for days in (30, 25, 20, 0)]
    for timestamp in stamps:
        put_backup(store, timestamp, cluster=A)
    put_claim(store, ago(0, 5), B)
    pruned(store, tmp_path, Policy(1, None))
    reports = [key for method, key, _ in store.calls if method == "fetch" and key.endswith("_report")]
    assert len(reports) == len(stamps)


def test_a_look_that_fails_ends_it_and_what_was_done_is_told(tmp_path: Path) -> None:
    class Blind(_Living):
        blind = False

        def find(self, prefix: str, *, unfinished: bool = False) -> Any:
            if self.blind and prefix.count("/") == 2:
                raise StorageError("can't list")
            return super().find(prefix, unfinished=unfinished)

    def happens(store: FakeStore) -> None:
        assert isinstance(store, Blind)
        store.blind = True

    store = Blind(happens)
    for days in (30, 25, 20):
        put_backup(store, ago(days), cluster=A)
    with pytest.raises(StorageError, match="can't list"):
        pruned(store, tmp_path, Policy(1, None))
    assert len(store.deleted) == 1


@pytest.mark.parametrize(("age", "holds"), [(3600.0, True), (2 * 86400.0, False)])
def test_a_stream_of_a_backup_without_a_claim_holds_what_it_may_build_upon(
    tmp_path: Path, age: float, holds: bool
) -> None:
    """The only stream of a segment is invisible until it ends; its last part counts, not its beginning."""
    store = FakeStore()
    old = [ago(30), ago(20)]
    for timestamp in old:
        put_backup(store, timestamp)
    running = ago(5)
    key = f"{backup_prefix(running)}gpbackup_0_{running}.gz"
    now = time.time()
    store.unfinished[Upload(key, now - 5 * 86400)] = now - age
    rows = pruned(store, tmp_path, Policy(1, None))
    assert rows[old[0]]["action"] == ("keep" if holds else "deleted")
