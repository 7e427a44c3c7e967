"""`delete_backup` of a backup that another cluster claims, and what an interruption of it leaves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.integrity.claim import NAME, new_claim
from fsspec_gp_plugin.integrity.cluster import Cluster
from tests.protocol.caller import Plugin, write_config
from tests.protocol.conftest import Target
from tests.protocol.test_least_privilege import anybody, bucket

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.caller import Database
    from tests.protocol.test_least_privilege import Bucket

__all__ = ["anybody", "bucket"]
T = "20260102030405"
PREFIX = f"backups/20260102/{T}/"
HERE = os.uname().nodename
OURS = Cluster(system_identifier="7000000000000000001", host=HERE, port="5432", directory="/data/gpseg-1")
OTHERS = Cluster(system_identifier="7000000000000000002", host="mdw-b", port="5432", directory="/data/gpseg-1")


def put_backup(target: Target, cluster: Cluster | None, content: bytes = b"") -> list[str]:
    target.put([f"{PREFIX}gpbackup_{T}_{name}" for name in ("toc.yaml", "report")])
    if cluster or content:
        data = content or new_claim(T, cluster or Cluster()).encode()
        with target.store() as store:
            store.put(PREFIX + NAME, memoryview(data))
    return target.keys()


def test_another_clusters_backup_is_deleted_only_where_somebody_says_so(plugin: Plugin, target: Target) -> None:
    before = put_backup(target, OTHERS)
    plugin.run("delete_backup", T).failed(
        f"belongs to {OTHERS}, and this is the cluster of coordinator {HERE}",
        f"; delete it from that coordinator, or run `delete_backup CONFIG {T} --any-cluster`",
        status=1,
    )
    plugin.run("delete_backup", T, "--all").failed("has no option '--all'", status=2)
    assert target.keys() == before
    plugin.run("delete_backup", T, "--any-cluster").succeeded()
    assert target.keys() == []
    plugin.run("delete_backup", T).succeeded()  # it is gone already
    # As gpbackman calls it: without anything in the environment only the hosts' names are compared.
    for cluster in (OURS, None):
        put_backup(target, cluster)
        plugin.run("delete_backup", T).succeeded()
        assert target.keys() == []


def test_whose_a_backup_is_says_the_name_where_there_is_one(database: Database, tmp_path: Path) -> None:
    target = Target("file", f"file://{tmp_path}/disk", {})
    named = Cluster(name="sales", host="mdw-b", port="5432", directory="/data/gpseg-1")
    config = {name: database.folder / f"{name}.yaml" for name in ("none", "sales", "hr")}
    plugins = {
        name: Plugin(database, write_config(path, target.url, cluster="" if name == "none" else name))
        for name, path in config.items()
    }
    before = put_backup(target, named)
    for name in ("none", "hr"):
        plugins[name].run("delete_backup", T).failed("set the option `cluster` to sales", status=1)
    assert target.keys() == before
    plugins["sales"].run("delete_backup", T).succeeded()
    assert target.keys() == []
    # Of the same host, and of another of its clusters; no system identifier is known.
    database.extra["COORDINATOR_DATA_DIRECTORY"] = "/data/another/gpseg-1"
    put_backup(target, OURS._replace(system_identifier=""))
    plugins["none"].run("delete_backup", T).failed(f"belongs to {OURS}", status=1)
    database.extra["COORDINATOR_DATA_DIRECTORY"] = "/data/gpseg-1/"
    plugins["none"].run("delete_backup", T).succeeded()
    put_backup(target, None, b"?")
    plugins["none"].run("delete_backup", T).failed("it is unknown whose", "--any-cluster", status=1)
    plugins["none"].run("delete_backup", T, "--any-cluster").succeeded()
    assert target.keys() == []


def test_who_may_not_read_the_claim_deletes_as_before(bucket: Bucket, anybody: Plugin, minio: Any) -> None:
    owner = Target("s3", f"s3://{bucket.name}", minio.options, minio)
    put_backup(owner, OTHERS)
    bucket.allow("s3:ListBucket", "s3:DeleteObject")
    anybody.run("delete_backup", T).succeeded()
    assert owner.keys() == []
    assert f"it is unknown whether another cluster claims {T}" in anybody.database.log()


@pytest.mark.parametrize("words", [("--help",), (T, "--help")], ids=["alone", "with a timestamp"])
def test_the_option_is_told_in_the_help(local: Plugin, words: tuple[str, ...]) -> None:
    told = local.run("delete_backup", *words).succeeded().out.decode()
    assert "usage: fsspec_gp_plugin delete_backup CONFIG TIMESTAMP [--any-cluster]" in told
    assert "\n  --any-cluster  delete it even if another cluster claims it" in told
