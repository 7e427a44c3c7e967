"""Credentials that may do no more than they must, and buckets that keep what they have; on MinIO, as anybody."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.protocol.caller import Plugin, write_config
from tests.protocol.conftest import unique_prefix
from tests.protocol.made_backups import call_hook

if TYPE_CHECKING:
    from tests.protocol.caller import Database
    from tests.servers.minio import Minio

T = "20260102030405"
PART = 5 << 20


class Bucket:
    """A bucket of its own in which anybody may do some things."""

    def __init__(self, minio: Minio, **settings: Any) -> None:
        self.name = f"least-{unique_prefix()}"
        self.owner = minio.filesystem()
        self.owner.call_s3("create_bucket", Bucket=self.name, **settings)

    def allow(self, *actions: str) -> None:
        """Only that, from here on."""
        arn = f"arn:aws:s3:::{self.name}"
        statements = [
            {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": arn if "List" in action else f"{arn}/*"}
            for action in actions
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.owner.call_s3("put_bucket_policy", Bucket=self.name, Policy=policy)

    def names(self) -> list[str]:
        return sorted(Path(path).name for path in self.owner.find(self.name))


@pytest.fixture
def bucket(minio: Minio) -> Bucket:
    return Bucket(minio)


@pytest.fixture
def anybody(bucket: Bucket, minio: Minio, database: Database) -> Plugin:
    options = {"endpoint_url": minio.endpoint, "anon": True}
    return Plugin(database, write_config(database.folder / "anybody.yaml", f"s3://{bucket.name}", options))


def backed_up(plugin: Plugin) -> bytes:
    data = bytes(range(256)) * (3 * PART // 256)
    plugin.run("setup_plugin_for_backup", plugin.database.directory(-1), "master").succeeded()
    plugin.run("backup_data", plugin.database.table(), stdin=data).succeeded()
    for name in ("toc.yaml", "report"):
        path = Path(plugin.database.file(f"gpbackup_{T}_{name}", -1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        plugin.run("backup_file", str(path)).succeeded()
    plugin.run("cleanup_plugin_for_backup", plugin.database.directory(-1), "master").succeeded()
    return data


def test_a_backup_needs_to_write_and_no_more(bucket: Bucket, anybody: Plugin) -> None:
    bucket.allow("s3:PutObject", "s3:AbortMultipartUpload")
    backed_up(anybody)
    # Another host can't find out whether it writes to the same place, and says so.
    shutil.rmtree(anybody.database.folder / "home/.fsspec_gp_plugin/runs")
    anybody.run("setup_plugin_for_backup", anybody.database.directory(0), "segment_host").succeeded()
    assert "these credentials can't read the claim" in anybody.database.log()
    names = bucket.names()
    assert {f"gpbackup_0_{T}_16384", f"gpbackup_{T}_toc.yaml", f"gpbackup_{T}_report"} <= set(names)
    assert sum(name.endswith(".manifest.gz") for name in names) == 1
    anybody.run("restore_data", anybody.database.table()).failed("access denied", status=1)


def test_a_host_that_writes_elsewhere_is_found_without_permission_to_list(bucket: Bucket, anybody: Plugin) -> None:
    """Without it a claim that is not there is denied, as one that may not be read."""
    bucket.allow("s3:PutObject", "s3:AbortMultipartUpload", "s3:GetObject")
    database = anybody.database
    anybody.run("setup_plugin_for_backup", database.directory(-1), "master").succeeded()
    anybody.run("setup_plugin_for_backup", database.directory(0), "segment_host").succeeded()
    text = anybody.config.read_text().replace(f"s3://{bucket.name}", f"s3://{bucket.name}/elsewhere")
    elsewhere = anybody.config.with_name("elsewhere.yaml")
    elsewhere.write_text(text)
    anybody.run("setup_plugin_for_backup", database.directory(1), "segment_host", config=elsewhere).failed(
        "this host does not see what the coordinator wrote"
    )


@pytest.mark.parametrize("listing", [True, False])
def test_a_restore_needs_to_read_and_to_list_only_for_the_manifests(
    bucket: Bucket, anybody: Plugin, listing: bool
) -> None:
    bucket.allow("s3:PutObject", "s3:AbortMultipartUpload")
    data = backed_up(anybody)
    bucket.allow("s3:GetObject", *(["s3:ListBucket"] if listing else []))
    call_hook(anybody, "setup_plugin_for_restore")
    assert anybody.run("restore_data", anybody.database.table()).succeeded().out == data
    assert (", verified" in anybody.database.log()) == listing
    assert ("as its manifests can't be listed" in anybody.database.log()) != listing
    anybody.run("backup_data", anybody.database.table(2), stdin=b"rows").failed(status=1)
    anybody.run("delete_backup", T).failed(status=1)
    assert f"gpbackup_0_{T}_16384" in bucket.names()


def test_a_deletion_needs_to_list_and_to_delete(bucket: Bucket, anybody: Plugin) -> None:
    bucket.allow("s3:PutObject", "s3:AbortMultipartUpload")
    backed_up(anybody)
    bucket.allow("s3:ListBucket", "s3:DeleteObject")
    anybody.run("delete_backup", T).succeeded()
    assert [name for name in bucket.names() if "probe" not in name] == []


def test_a_bucket_under_object_lock_keeps_its_versions_and_that_is_told(minio: Minio, database: Database) -> None:
    locked = Bucket(minio, ObjectLockEnabledForBucket=True)
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    locked.owner.call_s3("put_object_lock_configuration", Bucket=locked.name, ObjectLockConfiguration=rule)
    plugin = Plugin(database, write_config(database.folder / "locked.yaml", f"s3://{locked.name}", minio.options))
    data = backed_up(plugin)
    call_hook(plugin, "setup_plugin_for_restore")
    assert plugin.run("restore_data", database.table()).succeeded().out == data
    plugin.run("delete_backup", T).succeeded()
    assert "the store retains versions of its objects" in database.log()
    versions = locked.owner.call_s3(
        "list_object_versions", Bucket=locked.name, Prefix=f"backups/20260102/{T}/gpbackup_0"
    )
    assert len(versions["Versions"]) == 1
