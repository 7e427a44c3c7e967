"""`prune` and `cleanup` where several clusters have one `url`, and where a cluster's backup is unfinished."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fsspec_gp_plugin.integrity.claim import NAME
from fsspec_gp_plugin.integrity.cluster import Cluster
from fsspec_gp_plugin.keys import backup_prefix
from fsspec_gp_plugin.storage.open import open_store
from tests.cli.arranged import DAY, aged, ago, asked, put_backup, put_claim
from tests.protocol.caller import Plugin, write_config
from tests.protocol.conftest import Target, unique_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import Store
    from tests.protocol.caller import Database
    from tests.protocol.test_least_privilege import Bucket
    from tests.servers.minio import Minio

A = Cluster(system_identifier="7000000000000000001", host="mdw-a", port="5432", directory="/data/gpseg-1")
B = Cluster(system_identifier="7000000000000000002", host="mdw-b", port="5432", directory="/data/gpseg-1")
# A clone of the database on another coordinator, and backups of both under a name that was given them.
CLONE = Cluster(system_identifier=A.system_identifier, host="mdw-c", port="5432", directory="/data/gpseg-1")
NAMED = Cluster(name="sales-eu", host="mdw-d"), Cluster(name="sales-eu", host="mdw-e")


@contextmanager
def opened(disk: Path) -> Iterator[Store]:
    store = open_store(f"file://{disk}", {})
    yield store
    store.close()


def whys(plugin: Plugin, *words: str) -> dict[str, tuple[str, str]]:
    told = asked(plugin, "prune", *words)["backups"]
    return {one["timestamp"]: (one["action"], one["why"]) for one in told}


def going(plugin: Plugin, *words: str) -> set[str]:
    return {stamp for stamp, (action, _) in whys(plugin, *words).items() if action == "delete"}


def test_the_backups_of_one_cluster_let_none_of_another_go(plugin: Plugin, target: Target) -> None:
    """Weekly ones and daily ones of two databases of the same name."""
    weekly, daily = [ago(days) for days in (22, 15, 8)], [ago(days) for days in (4, 3, 2, 1)]
    clones, named = [ago(30), ago(29)], [ago(40), ago(39)]
    with target.store() as store:
        for stamps, cluster in ((weekly, A), (daily, B), (clones, CLONE)):
            for timestamp in stamps:
                put_backup(store, timestamp, cluster=cluster)
        for timestamp, cluster in zip(named, NAMED, strict=True):
            put_backup(store, timestamp, cluster=cluster)
    assert going(plugin, "--keep-full", "2") == {weekly[0], *daily[:2]}
    assert going(plugin, "--keep-full", "1") == {*weekly[:2], *daily[:3], clones[0], named[0]}
    told = {one["timestamp"]: one["cluster"] for one in asked(plugin, "prune", "--keep-full", "1")["backups"]}
    assert (told[weekly[0]], told[named[0]]) == (str(A), str(NAMED[0]))
    columns = plugin.run("prune", "--keep-full", "1").succeeded().out.decode().splitlines()[0].split()
    assert columns == ["TIMESTAMP", "DATABASE", "CLUSTER", "KIND", "STATE", "SIZE", "ACTION", "WHY"]


def test_an_unfinished_backup_holds_those_of_its_cluster_until_it_is_released(plugin: Plugin, target: Target) -> None:
    """While gpbackup waits for its locks only the claim is at the target, and it may build upon the oldest set."""
    base, upon, later, running = ago(30), ago(29), ago(20), ago(3)
    others = [ago(28), ago(27)]
    with target.store() as store:
        put_backup(store, base, cluster=A)
        put_backup(store, upon, needs=[base], cluster=A)
        put_backup(store, later, options="", cluster=A)
        for timestamp in others:
            put_backup(store, timestamp, cluster=B)
        put_claim(store, running, A)
    before = target.keys()
    told = asked(plugin, "prune", "--keep-full", "1", "--yes")
    assert told["unfinished"] == [running]
    assert {one["timestamp"] for one in told["backups"] if one["action"] == "deleted"} == {others[0]}
    assert [key for key in before if others[0] not in key] == target.keys()
    held = {one["timestamp"]: one["why"] for one in told["backups"] if one["action"] == "keep"}
    release = f"{running} of its cluster is unfinished; `cleanup CONFIG --run {running} --yes` releases it"
    assert (held[base], held[upon], held[later]) == (release, release, "the last full one of its database")
    shown = plugin.run("prune", "--keep-full", "1").succeeded().out.decode().splitlines()
    assert f"`cleanup CONFIG --run {running} --yes` releases it" in shown[-1]
    # Told, and only then done.
    [row] = asked(plugin, "cleanup", "--run", running)["leftovers"]
    assert (row["timestamp"], row["action"], row["count"], row["cluster"]) == (running, "delete", 1, str(A))
    assert any(running in key for key in target.keys())  # noqa: SIM118 - a method of ours
    [row] = asked(plugin, "cleanup", "--run", running, "--yes")["leftovers"]
    assert row["action"] == "deleted"
    assert not any(running in key for key in target.keys())  # noqa: SIM118
    assert going(plugin, "--keep-full", "1") == {base, upon}


def test_an_unfinished_backup_holds_those_of_nobody_too_that_it_may_build_upon(local: Plugin, tmp_path: Path) -> None:
    """Made before backups were claimed, they may be its cluster's; and one whose claim is damaged holds all."""
    nobodys, useless, others, running = [ago(30), ago(29)], ago(31), [ago(28), ago(27)], ago(3)
    disk = tmp_path / "disk"
    with opened(disk) as store:
        for timestamp in nobodys:
            put_backup(store, timestamp)
        put_backup(store, useless, options="")
        for timestamp in others:
            put_backup(store, timestamp, cluster=B)
        put_claim(store, running, A)
        assert going(local, "--older-than", "1d") == {useless, others[0]}
        store.put(backup_prefix(running) + NAME, memoryview(b"?"))
        assert going(local, "--older-than", "1d") == set()
        # A complete one of which nothing tells whose it is stays, and holds nothing.
        put_backup(store, running)
        told = whys(local, "--older-than", "1d")
        unknown = "nothing tells whose it is: its claim can't be read, or two runs have claimed it"
        assert told[running] == ("keep", unknown)
        assert {stamp for stamp, (action, _) in told.items() if action == "delete"} == {nobodys[0], useless, others[0]}
        assert "no cluster claims" in told[nobodys[1]][1]


def test_what_somebody_releases_is_neither_complete_nor_needed(local: Plugin, tmp_path: Path) -> None:
    whole, failed, upon = ago(5), ago(0, 700), ago(0, 600)
    with opened(tmp_path / "disk") as store:
        put_backup(store, whole, cluster=A)
        put_backup(store, failed, status="Failure", cluster=A)
    before = sorted((tmp_path / "disk").rglob("*"))
    local.run("cleanup", "--run", whole, "--yes").failed("is complete", f"delete_backup CONFIG {whole}", status=1)
    local.run("cleanup", "--run", failed, "--older-than", "1h").failed("leave out --older-than", status=2)
    assert asked(local, "cleanup", "--run", ago(99), "--yes")["leftovers"] == []
    assert sorted((tmp_path / "disk").rglob("*")) == before
    with opened(tmp_path / "disk") as store:
        put_backup(store, upon, needs=[failed])
        [row] = asked(local, "cleanup", "--run", failed, "--yes")["leftovers"]
        assert (row["action"], row["why"]) == ("keep", f"{upon}, an incremental backup, needs it")
        store.delete([info.key for info in store.find(backup_prefix(upon))])
    [row] = asked(local, "cleanup", "--run", failed, "--yes")["leftovers"]
    assert row["action"] == "deleted"
    assert "--run TIMESTAMP" in local.shell(f"{local.executable} cleanup --help").succeeded().out.decode()


def test_a_claim_with_nothing_else_goes_when_it_is_old(local: Plugin, tmp_path: Path) -> None:
    with opened(tmp_path / "disk") as store:
        put_claim(store, ago(5), A)
    [row] = asked(local, "cleanup", "--yes")["leftovers"]
    assert (row["state"], row["action"], row["why"]) == ("incomplete", "keep", "may still run")
    aged(tmp_path / "disk", 2 * DAY)
    [row] = asked(local, "cleanup", "--yes")["leftovers"]
    assert (row["action"], row["why"]) == ("deleted", f"gpbackup did not come to its end; it is of {A}")


def upload(store: Any, timestamp: str) -> Any:
    """A segment's only stream, whose first part has been sent."""
    writer = store.begin(f"{backup_prefix(timestamp)}gpbackup_0_{timestamp}.gz")
    writer.write(1, memoryview(bytes(5 << 20)))
    return writer


def test_a_stream_that_sent_a_part_just_now_is_left_alone(minio: Minio, database: Database) -> None:
    """However long ago it was begun."""
    target = Target("s3", f"s3://{minio.bucket}/clusters/{unique_prefix()}", minio.options, minio)
    plugin = Plugin(database, write_config(database.folder / "s3.yaml", target.url, target.options))
    running = ago(3)
    with target.store() as store:
        writer = upload(store, running)
        time.sleep(8)
        writer.write(2, memoryview(bytes(5 << 20)))
        [row] = asked(plugin, "cleanup", "--older-than", "6s", "--yes")["leftovers"]
        assert (row["what"], row["action"], row["why"]) == ("uploads", "keep", "may still run")
        # It holds what it may build upon, too, however old its timestamp is.
        put_backup(store, ago(9))
        put_backup(store, ago(8))
        assert going(plugin, "--keep-full", "1") == set()
        writer.complete(10 << 20)
        # Somebody who knows that it has ended.
        upload(store, running)
        rows = asked(plugin, "cleanup", "--run", running, "--yes")["leftovers"]
        assert [row["action"] for row in rows] == ["deleted"]
    assert not any(running in key for key in target.keys())  # noqa: SIM118


def test_a_stream_of_which_nobody_may_ask_is_left_alone(anybody: Plugin, bucket: Bucket, minio: Minio) -> None:
    bucket.allow("s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:GetObject", "s3:AbortMultipartUpload")
    store = open_store(f"s3://{bucket.name}", minio.options)
    upload(store, ago(3))
    time.sleep(1)
    [row] = asked(anybody, "cleanup", "--older-than", "0s", "--yes")["leftovers"]
    assert (row["what"], row["action"]) == ("uploads", "keep")
    assert row["why"].startswith("nothing tells when its last part arrived: ")
    store.close()
