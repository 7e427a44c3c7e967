"""`verify` and `info`: what is wrong with a backup, what could not be checked, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.checksum import crc32c
from fsspec_gp_plugin.integrity.claim import Claim
from fsspec_gp_plugin.integrity.entries import Entry
from fsspec_gp_plugin.integrity.manifest_packing import pack
from fsspec_gp_plugin.integrity.object_names import name_of_host
from fsspec_gp_plugin.keys import backup_prefix
from tests.cli.arranged import asked
from tests.cli.whole import (
    CLAIM,
    CLUSTER,
    MARKS,
    OTHER,
    OTHER_CLAIM,
    manifest_name,
    manifest_of,
    put_whole,
    table,
)
from tests.made_manifests import in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fsspec_gp_plugin.storage.contract import Store
    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

T, UPON, LATER = "20260102030405", "20260103030405", "20260104030405"
PREFIX = backup_prefix(T)
COUNT = 8


def verified(plugin: Plugin, *words: str, status: int = 0) -> dict[str, Any]:
    """What `verify` tells of one backup."""
    one: dict[str, Any]
    [one] = asked(plugin, "verify", *words, status=status)["backups"]
    return one


def replace(store: Store, key: str, data: bytes) -> None:
    store.put(key, memoryview(data))


def test_a_whole_backup(plugin: Plugin, target: Target) -> None:
    with target.store() as store:
        put_whole(store, T)
        for words in ([], ["--quick"]):
            one = verified(plugin, T, *words)
            assert (one["result"], one["verified"], one["problems"], one["reasons"]) == ("ok", COUNT, [], [])
        assert one["cluster"] == CLUSTER.to_json()
        [listed] = asked(plugin, "list")["backups"]
        assert (listed["objects"], listed["verified"]["well"], listed["verified"]["result"]) == (COUNT, True, "ok")
        # Bytes of the same length, which a listing doesn't show.
        key = PREFIX + table(T)
        replace(store, key, b"99999 rows")
        verified(plugin, T, "--quick")
        one = verified(plugin, status=1)
        assert (one["result"], one["verified"]) == ("failed", COUNT - 1)
        assert [key in problem for problem in one["problems"]] == [True]
        assert asked(plugin, "list")["backups"][0]["verified"]["result"] == "failed"
        replace(store, key, b"short")
        for words in ([], ["--quick"]):
            one = verified(plugin, *words, status=1)
            assert one["problems"] == [f"1 of 8 objects is of another size: {key} has 5 bytes; 10 were backed up"]
            assert (one["resized"], one["missing"]) == (1, 0)
        store.delete([key])
        for words in ([], ["--quick"]):
            one = verified(plugin, *words, status=1)
            by = "the target was compared with the backup's manifests"
            assert one["problems"] == [f"1 of 8 objects is missing: {key}; {by}"]
            assert (one["resized"], one["missing"]) == (0, 1)
    done = plugin.run("verify")
    assert (done.status, done.err) == (1, "")
    assert done.out.decode().splitlines()[-1].split()[-1] == "failed"
    assert not list((plugin.database.folder / "home/.fsspec_gp_plugin/manifests").iterdir())


def test_a_host_whose_manifest_is_missing(plugin: Plugin, target: Target) -> None:
    with target.store() as store:
        put_whole(store, T, without=[manifest_name("sdw2")])
        key = PREFIX + table(T, 1)
        reasons = [
            f"2 objects are in no manifest; the first is {key}",
            "host sdw2 left its mark and no manifest, so what it stored can't be checked",
        ]
        for words in ([], ["--quick"]):
            one = verified(plugin, *words, status=4)
            assert (one["result"], one["verified"], one["problems"], one["not_checked"]) == ("unchecked", 6, [], 2)
            assert one["hosts_without_manifest"] == ["sdw2"]
            assert one["reasons"] == reasons
        [listed] = asked(plugin, "list")["backups"]
        assert listed["verified"]["result"] == "unchecked"
        assert (listed["verified"]["not_checked"], listed["verified"]["well"]) == (2, False)
        out = plugin.run("list").succeeded().out.decode()
        assert "2 of 3" in out
        assert "2 not checked" in out
        # Overwritten by bytes of the same length: nobody can tell, and nobody says that all is well.
        replace(store, key, b"99999 rows")
        verified(plugin, status=4)
        store.delete([key])
        for words in ([], ["--quick"]):
            one = verified(plugin, *words, status=1)
            by = "the target was compared with gpbackup's config file and table of contents"
            assert one["problems"] == [f"1 of 8 objects is missing: {key}; {by}"]
            assert one["missing"] == 1
    assert any(table(T, 1) in problem for problem in asked(plugin, "info", T)["problems"])


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("gone", f"it needs the backup {T}, which is not at the target"),
        ("unfinished", f"it needs the backup {T}, which gpbackup did not finish"),
    ],
)
def test_an_incremental_backup_whose_base_is_no_more(local: Plugin, store: Store, damage: str, why: str) -> None:
    put_whole(store, T)
    put_whole(store, UPON, [T])
    assert verified(local, UPON)["needs"] == [T]
    assert asked(local, "metrics")["backups"]["broken"] == 0
    keys = [info.key for info in store.find(PREFIX)] if damage == "gone" else [f"{PREFIX}gpbackup_{T}_report"]
    store.delete(keys)
    for words in ([], ["--quick"]):
        assert verified(local, UPON, *words, status=1)["problems"] == [why]
    listed = asked(local, "list")["backups"][-1]
    assert (listed["state"], listed["broken"]) == ("broken", why)
    assert f"problem: {why}" in local.run("info", UPON).succeeded().out.decode()
    told = asked(local, "metrics")
    assert (told["backups"]["complete"], told["backups"]["broken"]) == (0, 1)
    assert told["last"] == []


def test_an_incremental_backup_whose_base_lacks_data(local: Plugin, store: Store) -> None:
    put_whole(store, T)
    put_whole(store, UPON, [T])
    store.delete([PREFIX + table(T, 1)])
    [problem] = verified(local, UPON, "--quick", status=1)["problems"]
    assert problem.startswith(f"it needs the backup {T}, of which 1 of 8 objects is missing: {PREFIX}{table(T, 1)};")


def test_what_is_in_no_manifest_is_counted(local: Plugin, store: Store) -> None:
    put_whole(store, T)
    for name in ("gpbackup_0_x", "gpbackup_1_x"):
        replace(store, PREFIX + name, b"of nobody")
    one = verified(local, status=4)
    assert (one["not_checked"], one["verified"]) == (2, COUNT)
    assert one["reasons"] == [f"2 objects are in no manifest; the first is {PREFIX}gpbackup_0_x"]
    line = local.run("verify", "--quick").out.decode().splitlines()[-1]
    assert line.endswith("2 not checked")


def test_manifests_that_disagree_end_nothing(plugin: Plugin, target: Target) -> None:
    with target.store() as store:
        hosts = put_whole(store, T)
        put_whole(store, LATER)
        other = manifest_of(T, "sdw1", {table(T, 1): b"other rows"})
        replace(store, PREFIX + manifest_name("sdw1"), other)
        assert len(hosts["sdw1"]) == 2
    first, second = asked(plugin, "verify", status=1)["backups"]
    [problem] = first["problems"]
    assert problem.startswith(f"two hosts disagree about {table(T, 1)}: ")
    for host in ("sdw1", "sdw2"):
        assert f"{host} says 10 bytes with CRC-32C " in problem
        assert PREFIX + manifest_name(host) in problem
    assert second["result"] == "ok"


@pytest.mark.parametrize("damage", ["two claims", "another run's manifest"])
def test_two_runs_in_one_prefix(local: Plugin, store: Store, damage: str) -> None:
    hosts = put_whole(store, T)
    if damage == "two claims":
        claim = Claim(T, OTHER_CLAIM, OTHER, 1)
        replace(store, PREFIX + claim.own_name, claim.encode())
        told = ["two runs have claimed it", "coordinator mdw:5432", "coordinator other:5432"]
    else:
        replace(store, PREFIX + manifest_name("sdw1"), manifest_of(T, "sdw1", hosts["sdw1"], OTHER_CLAIM))
        told = [manifest_name("sdw1"), "belongs to another run"]
    one = verified(local, "--quick", status=1)
    for words in told:
        assert words in one["problems"][0]


@pytest.mark.parametrize(
    ("without", "why"),
    [
        (["report"], "gpbackup did not finish this backup"),
        (["config.yaml"], "it is unknown whether all data is there: "),
    ],
)
def test_what_can_not_be_told_is_said(local: Plugin, store: Store, without: Sequence[str], why: str) -> None:
    put_whole(store, T, without=[f"gpbackup_{T}_{name}" for name in without])
    # Its manifest names the file, too: that is a fault of its own.
    replace(store, PREFIX + manifest_name("mdw"), manifest_of(T, "mdw", {}))
    one = verified(local, status=4)
    assert (one["result"], one["problems"]) == ("unchecked", [])
    assert any(reason.startswith(why) for reason in one["reasons"])


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("parts", [2, 5])
def test_parts_are_put_together(local: Plugin, store: Store, version: int, parts: int) -> None:
    hosts = put_whole(store, T)
    if version == 2:
        for host, objects in hosts.items():
            entries = [Entry(name, len(data), crc32c(data)) for name, data in objects.items()]
            packed = pack(T, in_order(entries), CLAIM, MARKS[host])
            replace(store, PREFIX + packed.name.replace(name_of_host(), host, 1), packed.data)
            store.delete([PREFIX + manifest_name(host)])
    found = [verified(local, T, "--shard", f"{number}/{parts}")["verified"] for number in range(parts)]
    assert sum(found) == COUNT
    assert max(found) < COUNT
    assert asked(local, "list")["backups"][0]["verified"]["well"] is True
    key = PREFIX + table(T, 1)
    replace(store, key, b"99999 rows")
    done = [local.run("verify", T, "--shard", f"{number}/{parts}") for number in range(parts)]
    assert [key in one.out.decode() for one in done].count(True) == 1
    assert sorted(one.status for one in done) == [*[0] * (parts - 1), 1]


def test_clusters_are_told_apart(local: Plugin, store: Store) -> None:
    put_whole(store, T)
    assert "CLUSTER" not in local.run("list").succeeded().out.decode()
    put_whole(store, LATER, cluster=OTHER)
    told = asked(local, "list")["backups"]
    assert [one["cluster"]["host"] for one in told] == ["mdw", "other"]
    assert "other:5432" in local.run("list").succeeded().out.decode()
    last = asked(local, "metrics")["last"]
    assert [(one["cluster"], one["timestamp"]) for one in last] == [
        ("mdw:/data/gpseg-1", T),
        ("other:/data/gpseg-1", LATER),
    ]
    assert 'database="sales",kind="full",cluster="other:/data/gpseg-1"' in local.run("metrics").out.decode()
