"""Whose backups are, by their claims."""

from __future__ import annotations

import os
import subprocess

import pytest

from fsspec_gp_plugin.backups.backup import Backup
from fsspec_gp_plugin.backups.catalog_build import read_token
from fsspec_gp_plugin.backups.ownership import read_clusters, read_ownership, require_ours
from fsspec_gp_plugin.backups.survey import survey
from fsspec_gp_plugin.errors import AccessDenied, PluginError, Unreachable
from fsspec_gp_plugin.gpbackup_process import GpbackupProcess, boot_id
from fsspec_gp_plugin.integrity import claim, marks
from fsspec_gp_plugin.integrity.cluster import Cluster
from fsspec_gp_plugin.keys import backup_prefix
from fsspec_gp_plugin.storage.contract import ObjectInfo
from tests.fakes import FakeStore

T = "20260102030405"


def test_claims_and_marks_are_signs_of_life_and_no_objects_of_the_backup() -> None:
    backup = Backup(T)
    for name, modified in (
        (claim.NAME, 1.0),
        (f"fsspec_gp_plugin/claim.{'a' * 32}.json", 2.0),
        ("fsspec_gp_plugin/sdw1.example.0123456789ab.mark", 3.0),
    ):
        backup.take_own(ObjectInfo(backup_prefix(T) + name, 100, modified=modified))
    assert (backup.objects, backup.size, backup.written, backup.state) == (0, 0, 3.0, "incomplete")
    assert [info.modified for info in backup.claims] == [1.0, 2.0]
    assert backup.marks == [("sdw1.example", "0123456789ab")]


def test_whose_backups_are_by_the_claims_that_a_listing_tells() -> None:
    """One request each, two where there are several: then nothing tells whose it is."""
    store = FakeStore()
    clusters = [Cluster(host=name) for name in ("mdw-a", "mdw-b")]
    stamps = [f"2026010203040{number}" for number in range(5)]
    made = [claim.new_claim(stamps[0], cluster) for cluster in clusters]
    for one in made:
        store.objects[backup_prefix(stamps[0]) + one.own_name] = one.encode()
    store.objects[backup_prefix(stamps[1]) + claim.NAME] = claim.new_claim(stamps[1], clusters[1]).encode()
    store.objects[backup_prefix(stamps[2]) + claim.NAME] = b"{}"
    store.objects[backup_prefix(stamps[3]) + claim.NAME] = claim.new_claim(stamps[1], clusters[1]).encode()
    store.objects[f"{backup_prefix(stamps[4])}gpbackup_0_{stamps[4]}_1"] = b"rows"
    found = read_clusters(store, survey(store))
    assert found == {stamps[0]: None, stamps[1]: clusters[1], stamps[2]: None, stamps[3]: None}
    assert [method for method, _, _ in store.calls].count("fetch") == 5


@pytest.mark.parametrize("error", [AccessDenied("denied"), Unreachable("away")])
def test_a_claim_that_can_not_be_read_is_nobodys_and_a_store_that_is_away_is_an_error(error: Exception) -> None:
    def before(method: str, key: str, _: int) -> None:
        if method == "fetch":
            raise type(error)(key)

    store = FakeStore(before)
    store.objects[backup_prefix(T) + claim.NAME] = claim.new_claim(T, Cluster(host="mdw")).encode()
    if isinstance(error, Unreachable):
        with pytest.raises(Unreachable):
            read_clusters(store, survey(store))
    else:
        assert read_clusters(store, survey(store)) == {T: None}


def test_a_backup_that_is_ours_and_anothers_is_not_ours() -> None:
    """Two runs have claimed it by best effort; whichever of them counts first."""
    ours, others = Cluster(name="sales", host="mdw-a"), Cluster(name="hr", host="mdw-b")
    for clusters in ((ours, others), (others, ours)):
        store = FakeStore()
        for digit, cluster in zip("ab", clusters, strict=True):
            made = claim.Claim(T, digit * 32, cluster, 0)
            store.objects[backup_prefix(T) + made.own_name] = made.encode()
        with pytest.raises(PluginError) as refused:
            require_ours(store, T, ours, lambda _: None)
        assert str(refused.value) == (
            f"the backup {T} belongs to cluster 'hr' (mdw-b), and this is cluster 'sales' (mdw-a); if this is "
            f"cluster 'hr', set the option `cluster` to hr, or run `delete_backup CONFIG {T} --any-cluster`"
        )
    del store.objects[backup_prefix(T) + claim.Claim(T, "a" * 32, others, 0).own_name]
    require_ours(store, T, ours, lambda _: None)


def test_a_claim_by_best_effort_lies_there_twice_and_is_one() -> None:
    store = FakeStore()
    made = claim.new_claim("20260102030405", Cluster(host="mdw"))
    prefix = backup_prefix(made.timestamp)
    for name in (made.own_name, claim.SETTLED):
        store.objects[prefix + name] = made.encode()
    [backup] = survey(store)
    found = read_ownership(store, backup)
    assert (found.claims, found.problem) == ((made,), "")
    assert read_token(store, backup.claims) == made.token
    other = claim.new_claim(made.timestamp, Cluster(host="other"))
    store.objects[prefix + other.own_name] = other.encode()
    [backup] = survey(store)
    assert "two runs have claimed it" in read_ownership(store, backup).problem
    assert read_token(store, backup.claims) == ""


@pytest.mark.parametrize("is_copied", [False, True])
def test_a_copy_that_is_being_made_is_not_interrupted(is_copied: bool) -> None:
    """Its claim comes first and names a gpbackup that ended long ago; its report comes last."""
    with subprocess.Popen(["true"]) as process:
        pass
    ended = GpbackupProcess(process.pid, 1, boot_id(), os.readlink("/proc/self/ns/pid"))
    store = FakeStore()
    made = claim.new_claim(T, Cluster(host="mdw"), ended)
    store.objects[backup_prefix(T) + claim.NAME] = made.encode()
    if is_copied:
        store.objects[backup_prefix(T) + marks.new_copy_mark()] = b""
    [backup] = survey(store)
    assert read_ownership(store, backup).claim == made
    assert backup.interrupted is not is_copied
