"""In the place of the S3 plugin: its configuration as it stands, its backups, and ours where it looks for them."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.protocol.agents import EXECUTABLE
from tests.protocol.caller import Plugin
from tests.protocol.conftest import unique_prefix

if TYPE_CHECKING:
    from tests.protocol.caller import Database
    from tests.servers.minio import Minio

T = "20260102030405"


@pytest.fixture
def folder() -> str:
    return f"drop-in/{unique_prefix()}"


@pytest.fixture
def drop_in(minio: Minio, database: Database, folder: str) -> Plugin:
    options = {
        "endpoint": minio.endpoint.removeprefix("http://"),
        "encryption": "off",
        "region": "us-east-1",
        "aws_access_key_id": minio.options["key"],
        "aws_secret_access_key": minio.options["secret"],
        "bucket": minio.bucket,
        "folder": folder,
        "backup_max_concurrent_requests": "6",
        "backup_multipart_chunksize": "500MB",
        "pgport": "5432",
        "backup_plugin_version": "",
        # Of this plugin alone: what it remembers is not for the home of whoever runs the tests.
        "state_directory": "${HOME}/.fsspec_gp_plugin",
    }
    path = database.folder / "s3_config.yaml"
    path.write_text(yaml.dump({"executablepath": str(EXECUTABLE), "options": options}, default_style='"'))
    return Plugin(database, path)


def test_a_backup_of_the_s3_plugin_is_restored(drop_in: Plugin, minio: Minio, folder: str) -> None:
    data = gzip.compress(os.urandom(100_000))
    objects = {
        f"gpbackup_0_{T}_16384.gz": data,
        f"gpbackup_1_{T}_16384.gz": gzip.compress(b""),
        f"gpbackup_{T}_toc.yaml": b"toc",
        f"gpbackup_{T}_metadata.sql": b"metadata",
        f"gpbackup_{T}_config.yaml": b"config",
        f"gpbackup_{T}_report": b"report",
    }
    root = f"{minio.bucket}/{folder}/backups/{T[:8]}/{T}"
    minio.filesystem().pipe({f"{root}/{name}": content for name, content in objects.items()})
    drop_in.setup("setup_plugin_for_restore")
    assert drop_in.run("restore_data", drop_in.database.table(suffix=".gz")).succeeded().out == data
    toc = Path(drop_in.database.file(f"gpbackup_{T}_toc.yaml", -1))
    toc.parent.mkdir(parents=True)
    drop_in.run("restore_file", str(toc)).succeeded()
    assert toc.read_bytes() == b"toc"
    drop_in.setup("cleanup_plugin_for_restore")
    drop_in.run("delete_backup", T).succeeded()
    assert minio.filesystem().find(root) == []


def test_ours_lies_where_the_s3_plugin_looks(drop_in: Plugin, minio: Minio, folder: str) -> None:
    drop_in.setup("setup_plugin_for_backup")
    data = os.urandom(12 << 20)
    drop_in.run("backup_data", drop_in.database.table(suffix=".zst"), stdin=data).succeeded()
    drop_in.setup("cleanup_plugin_for_backup")
    root = f"{minio.bucket}/{folder}/backups/{T[:8]}/{T}"
    assert minio.filesystem().cat(f"{root}/gpbackup_0_{T}_16384.zst") == data
    assert minio.filesystem().ls(root, detail=False) == [f"{root}/fsspec_gp_plugin", f"{root}/gpbackup_0_{T}_16384.zst"]
