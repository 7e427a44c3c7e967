"""`prune`: complete backups that a policy lets go, and never one that is needed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fsspec_gp_plugin.integrity.cluster import Cluster
from fsspec_gp_plugin.keys import backup_prefix
from fsspec_gp_plugin.storage.open import open_store
from tests.cli.arranged import A_WHILE, aged, ago, asked, put_backup, put_claim
from tests.protocol.caller import Plugin, write_config
from tests.protocol.conftest import unique_prefix
from tests.servers.faults import Answer
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import Store
    from tests.protocol.caller import Database
    from tests.protocol.conftest import Target
    from tests.servers.faults import Request
    from tests.servers.minio import Minio

FULL = [ago(120), ago(90), ago(60)]
CLUSTER = Cluster(host="mdw-a")
UPON = [ago(119), ago(89), ago(88), ago(59)]


def put_sets(store: Store) -> None:
    """Three full backups of one database, each with incremental ones."""
    for timestamp in FULL:
        put_backup(store, timestamp)
    for timestamp, needs in zip(UPON, ([FULL[0]], [FULL[1]], [FULL[1], UPON[1]], [FULL[2]]), strict=True):
        put_backup(store, timestamp, needs=needs)


def going(plugin: Plugin, *words: str) -> set[str]:
    told = asked(plugin, "prune", *words)["backups"]
    return {one["timestamp"] for one in told if one["action"] == "delete"}


def test_sets_go_as_a_whole_and_only_with_yes(plugin: Plugin, target: Target) -> None:
    store = open_store(target.url, target.options)
    put_sets(store)
    before = target.keys()
    oldest = {FULL[0], UPON[0]}
    assert going(plugin, "--keep-full", "2") == oldest
    assert target.keys() == before
    lines = plugin.run("prune", "--keep-full", "2").succeeded().out.decode().splitlines()
    assert lines[0].split() == ["TIMESTAMP", "DATABASE", "KIND", "STATE", "SIZE", "ACTION", "WHY"]
    assert lines[-1].startswith("Nothing was deleted; `--yes` deletes what is marked so (2, ")
    told = asked(plugin, "prune", "--keep-full", "2", "--yes")
    assert {one["timestamp"] for one in told["backups"] if one["action"] == "deleted"} == oldest
    after = target.keys()
    assert {key.split("/")[2] for key in after} == {*FULL[1:], *UPON[1:]}
    assert asked(plugin, "prune", "--keep-full", "2", "--yes")["backups"] == told["backups"][2:]
    store.close()


def test_a_policy_by_age_leaves_the_last_full_one_and_its_set(local: Plugin, tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/disk", {})
    put_sets(store)
    first = ago(121)
    put_backup(store, ago(30), section="Metadata Only")
    put_backup(store, first, section="Data Only")
    put_backup(store, ago(119.5), database="hr", filtering="Include Table Filter")
    old = {first, *FULL[:2], *UPON[:3]}
    assert going(local, "--older-than", "0s") == old
    assert going(local, "--keep-full", "1", "--older-than", "1h") == old
    assert going(local, "--keep-full", "3", "--older-than", "1h") == {first}
    assert going(local, "--keep-full", "4") == set()
    assert going(local, "--older-than", "5000w") == set()
    # One that is young holds the set that it belongs to.
    put_backup(store, ago(0, 7200), needs=[FULL[0], UPON[0]])
    assert going(local, "--older-than", "1d") == old - {FULL[0], UPON[0]}
    # One that may still run may build upon whatever can be built upon.
    put_backup(store, ago(1, -A_WHILE), without=["toc.yaml", "report"])
    useless = ago(122)
    put_backup(store, useless, options="")
    assert going(local, "--older-than", "1d") == {useless}


def test_what_can_not_be_read_is_never_guessed(local: Plugin, tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/disk", {})
    put_sets(store)
    others = [ago(500), ago(499), ago(498)]
    put_backup(store, others[0], database="hr")
    put_backup(store, others[1], database="hr")
    put_backup(store, others[2], status="Failure")
    store.put(f"{backup_prefix(UPON[1])}gpbackup_{UPON[1]}_config.yaml", memoryview(b"restoreplan: []\n"))
    told = {one["timestamp"]: one for one in asked(local, "prune", "--older-than", "1d")["backups"]}
    assert {one["why"] for one in told.values() if one["database"] == "sales" and one["state"] == "complete"} == {
        f"nothing tells what {UPON[1]} needs"
    }
    assert told[others[0]]["action"] == "delete"
    assert told[others[2]]["why"] == "failed: see `cleanup`"
    # Without a report not even the database is known, but what it needs is.
    put_backup(store, UPON[1], needs=[FULL[1]])
    store.put(f"{backup_prefix(UPON[1])}gpbackup_{UPON[1]}_report", memoryview(b"?"))
    told = {one["timestamp"]: one for one in asked(local, "prune", "--older-than", "1d")["backups"]}
    assert (told[UPON[1]]["action"], told[UPON[1]]["why"]) == ("keep", "its report can't be read")
    assert (told[FULL[1]]["action"], told[FULL[1]]["why"]) == ("keep", f"{UPON[1]} needs it")
    assert told[FULL[0]]["action"] == "delete"
    # With neither, nothing tells what it needs, of whatever database.
    store.put(f"{backup_prefix(UPON[1])}gpbackup_{UPON[1]}_config.yaml", memoryview(b"?"))
    assert going(local, "--older-than", "1d") == set()


def test_what_the_store_keeps_is_told_and_stays_whole(minio: Minio, database: Database) -> None:
    name = f"kept-{unique_prefix()}"
    owner = minio.filesystem()
    owner.call_s3("create_bucket", Bucket=name)
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{what}"}
        for action, what in (("s3:ListBucket", name), ("s3:GetObject", f"{name}/*"))
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    owner.call_s3("put_bucket_policy", Bucket=name, Policy=policy)
    store = open_store(f"s3://{name}", minio.options)
    put_sets(store)
    anybody = {"endpoint_url": minio.endpoint, "anon": True}
    plugin = Plugin(database, write_config(database.folder / "anybody.yaml", f"s3://{name}", anybody))
    told = {one["timestamp"]: one for one in asked(plugin, "prune", "--keep-full", "1", "--yes", status=1)["backups"]}
    assert told[UPON[2]]["action"] == "failed"
    assert "access denied" in told[UPON[2]]["why"]
    # It needs them, so they were not even tried.
    for timestamp in (FULL[1], UPON[1]):
        assert told[timestamp]["why"] == f"{UPON[2]} could not be deleted, and needs it"
    assert sum(1 for _ in store.find("")) == 4 * 7
    store.close()


def test_a_backup_that_begins_meanwhile_holds_what_is_left(minio: Minio, database: Database) -> None:
    """Between the deletion of one and that of the next."""
    url = f"s3://{minio.bucket}/{unique_prefix()}"
    store, running = open_store(url, minio.options), ago(0)
    for timestamp in FULL:
        put_backup(store, timestamp, cluster=CLUSTER)

    def begins(request: Request) -> bool:
        if request.method == "DELETE" or "?delete" in request.path:
            put_claim(store, running, CLUSTER)
        return False

    with Proxy(minio.endpoint) as proxy:
        proxy.faults.append(Answer(begins))
        options = {**minio.options, "endpoint_url": proxy.endpoint}
        plugin = Plugin(database, write_config(database.folder / "proxy.yaml", url, options))
        told = asked(plugin, "prune", "--keep-full", "1", "--yes")["backups"]
    assert [one["action"] for one in told] == ["keep", "deleted", "keep"]
    assert (told[0]["held_by"], f"`cleanup CONFIG --run {running} --yes`" in told[0]["why"]) == (running, True)
    store.close()


def test_a_run_without_a_sign_of_life_for_a_day_is_told_by_the_status(local: Plugin, tmp_path: Path) -> None:
    """One that has ended holds everything until somebody hears of it."""
    store = open_store(f"file://{tmp_path}/disk", {})
    for timestamp in FULL:
        put_backup(store, timestamp, cluster=CLUSTER)
    killed = ago(2)
    put_claim(store, killed, CLUSTER)
    assert [one["held_by"] for one in asked(local, "prune", "--keep-full", "1")["backups"]] == [
        killed,
        killed,
        None,
        None,
    ]
    aged(tmp_path / "disk")
    asked(local, "prune", "--keep-full", "1", status=1)
    # Where nothing would go anyway, it is in nobody's way.
    told = local.run("prune", "--keep-full", "3").succeeded().out.decode()
    assert f"`cleanup CONFIG --run {killed} --yes` releases it" in told
    local.run("cleanup", "--run", killed, "--yes").succeeded()
    asked(local, "prune", "--keep-full", "1")
    store.close()


def test_a_policy_must_be_named(local: Plugin) -> None:
    local.run("prune", "--yes").failed("name a policy", status=2)
    local.run("prune", "--keep-full", "0").failed("is no number of backups", status=2)
