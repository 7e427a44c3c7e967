"""A copy is deleted where it is proven to be one, and made where its claim allows it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.integrity.claim import NAME, new_claim
from fsspec_gp_plugin.integrity.cluster import Cluster
from tests.protocol.caller import Plugin, write_config
from tests.protocol.conftest import Target
from tests.protocol.test_least_privilege import anybody, bucket
from tests.protocol.test_replication import END, PREFIX, Pair, T, back_up, disk, disks, pair

if TYPE_CHECKING:
    from tests.protocol.caller import Database
    from tests.protocol.test_least_privilege import Bucket

__all__ = ["anybody", "bucket", "disks"]
CLAIM = f"{PREFIX}/{NAME}"
OTHERS = Cluster(system_identifier="7000000000000000001", host="mdw-b", port="5432", directory="/data/gpseg-1")


def put_claim(made: Pair, target: Target, cluster: Cluster) -> bytes:
    data = new_claim(T, cluster).encoded()
    made.store(target).put(CLAIM, memoryview(data))
    return data


def read(made: Pair, target: Target, key: str) -> bytes:
    del made
    return (Path(target.url.removeprefix("file://")) / key).read_bytes()


def test_one_place_by_two_names_is_no_copy(disks: Pair, tmp_path: Path) -> None:
    before = disks.first.keys()
    (tmp_path / "link").symlink_to(tmp_path / "first")
    for url in (f"file://{tmp_path}/link", f"file://{tmp_path}/./first"):
        made = pair(disks.first, Target("file", url, {}), disks.database)
        for command in ("replicate_backup", "delete_replica"):
            made.plugin.run(command, T).failed("is the first target itself, by another name", status=2)
    assert disks.first.keys() == before


def test_the_only_copy_is_not_deleted_where_the_first_target_is_not_mounted(disks: Pair, tmp_path: Path) -> None:
    """Both are names of one place, one of which leads nowhere now; or to an empty directory, as a mount point is."""
    made = pair(Target("file", f"file://{tmp_path}/mount", {}), disks.first, disks.database)
    before = disks.first.keys()
    refused = ("nothing was deleted", "run it when the first target can be read")
    made.plugin.run("delete_replica", T).failed(*refused, f"there is no backup {T}", status=1)
    assert list((tmp_path / "mount").iterdir()) == []
    (tmp_path / "mount").rmdir()
    made.plugin.run("delete_replica", T).failed(*refused, "mount", status=3)
    assert (disks.first.keys(), (tmp_path / "mount").exists()) == (before, False)


def test_a_replica_that_is_not_mounted_is_not_made(disks: Pair, tmp_path: Path) -> None:
    made = pair(disks.first, Target("file", f"file://{tmp_path}/mount", {}), disks.database)
    for command in ("replicate_backup", "delete_replica"):
        made.plugin.run(command, T).failed(f"{tmp_path}/mount does not exist", status=3)
    assert not (tmp_path / "mount").exists()


def test_a_copy_is_deleted_where_the_first_target_holds_all_of_it(disks: Pair, tmp_path: Path) -> None:
    disks.replicate()
    copies, path = disks.copies, next(iter(disks.data))
    before = disks.first.keys()
    larger = disks.store(disks.second)
    larger.put(disks.database.key(path), memoryview(b"more than at the first target" * 100))
    disks.plugin.run("delete_replica", T).failed(
        f"the first target does not hold {disks.database.key(path)} with its 2900 bytes", status=1
    )
    assert disks.copies == copies
    disks.replicate()
    # Of no copy: what was found of it there, and what a copy under way has left.
    Plugin(disks.database, write_config(tmp_path / "second.yaml", disks.second.url)).run("verify", T)
    larger.put(f"{PREFIX}/fsspec_gp_plugin/replicating.1.0123456789ab", memoryview(b"x"))
    disks.plugin.run("delete_replica", T).succeeded()
    assert (disks.copies, disks.first.keys()) == ([], before)
    # Where there is none, nobody asks the first target.
    (tmp_path / "first").rename(tmp_path / "gone")
    disks.plugin.run("delete_replica", T).succeeded()


def test_who_may_not_look_at_the_first_target_deletes_no_copy(
    tmp_path: Path, database: Database, bucket: Bucket, minio: Any
) -> None:
    """Nor who may read and not write there, so that no mark can be put. Copies are made all the same."""
    owner = Target("s3", f"s3://{bucket.name}", minio.options, minio)
    made = pair(owner, disk(tmp_path, "second"), database)
    back_up(made)
    made.replicate()
    copies = made.copies
    made = pair(Target("s3", owner.url, {"endpoint_url": minio.endpoint, "anon": True}), made.second, database)
    for allowed in ((), ("s3:ListBucket",), ("s3:ListBucket", "s3:GetObject")):
        bucket.allow(*(allowed or ("s3:DeleteObject",)))
        made.plugin.run("delete_replica", T).failed("nothing was deleted", "denied", status=1)
        assert made.copies == copies
    assert "were there" in made.replicate()
    assert "nothing proves that the replica is another place" in database.log()
    bucket.allow("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject")
    made.plugin.run("delete_replica", T).succeeded()
    assert (made.copies, [name for name in bucket.names() if "replicating" in name]) == ([], [])


def test_a_copy_has_the_claim_of_its_backup(disks: Pair) -> None:
    data = put_claim(disks, disks.first, OTHERS)
    disks.replicate("0/1")
    assert read(disks, disks.second, CLAIM) == data
    disks.replicate()
    disks.replicate()
    assert read(disks, disks.second, CLAIM) == data


def test_a_prefix_of_the_replica_that_another_run_claims_is_left_as_it_is(disks: Pair) -> None:
    """As of a cluster with the same `replica_url`, whose backup began in the same second."""
    put_claim(disks, disks.second, OTHERS)
    for ours in (False, True):
        if ours:
            put_claim(disks, disks.first, Cluster(host="mdw"))
        before = {key: read(disks, disks.second, key) for key in disks.copies}
        for words in ((), ("0/2",)):
            disks.plugin.run("replicate_backup", T, *words).failed(f"is a backup of {OTHERS}", status=1)
        disks.plugin.run("delete_replica", T).failed(f"is a backup of {OTHERS}", status=1)
        assert {key: read(disks, disks.second, key) for key in disks.copies} == before


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_the_claim_of_another_kind_of_store_is_the_same(
    kind: str, tmp_path: Path, database: Database, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("minio" if kind == "s3" else kind)
    root = f"s3://{server.bucket}" if kind == "s3" else server.url
    target = Target(kind, f"{root}/two_places/{tmp_path.name}{os.getpid()}", server.options)
    made = pair(disk(tmp_path, "first"), target, database)
    back_up(made)
    data = put_claim(made, made.first, OTHERS)
    made.replicate()
    buffer = bytearray(len(data))
    with target.store() as store, memoryview(buffer) as into:
        assert sum(store.fetch(CLAIM, into)[1]) == len(data)
    assert bytes(buffer) == data
    assert json.loads(data)["cluster"]["host"] == "mdw-b"
    made.plugin.run("delete_replica", T).succeeded()
    assert made.copies == []


def test_without_a_second_target_it_says_which_option_is_missing(local: Plugin) -> None:
    for command in ("replicate_backup", "delete_replica"):
        local.run(command, T).failed("has no replica: add `replica_url`", status=2)


def test_a_backup_that_is_not_complete_is_not_copied(disks: Pair) -> None:
    disks.store(disks.first).delete([f"{PREFIX}/{END[1]}"])
    disks.plugin.run("replicate_backup", T).failed("is not complete", status=1)
    disks.plugin.run("replicate_backup", "20270102030405").failed("there is no backup 20270102030405", status=1)
