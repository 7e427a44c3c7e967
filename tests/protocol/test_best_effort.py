"""Stores that can't say who was the first, and filesystems that keep nothing for others."""

from __future__ import annotations

import gzip
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.protocol.caller import Database, Plugin, write_config
from tests.protocol.made_backups import PREFIX, T, call_hook
from tests.servers.conditions import without_conditions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.minio import Minio


def host(folder: Path, name: str, url: str, options: dict[str, object] | None = None) -> Plugin:
    """A coordinator of its own."""
    place = folder / name
    place.mkdir(mode=0o700)
    return Plugin(Database(place), write_config(place / "plugin.yaml", url, options))


def test_a_store_that_ignores_the_condition_is_found_out(minio: Minio, tmp_path: Path) -> None:
    with without_conditions(minio) as server:
        url = f"s3://{server.bucket}/{tmp_path.name}"
        hosts = [host(tmp_path, f"host{number}", url, server.options) for number in range(3)]
        with ThreadPoolExecutor(len(hosts)) as pool:
            setup = "setup_plugin_for_backup"
            results = list(pool.map(lambda one: one.run(setup, one.database.directory(-1), "master"), hosts))
        assert sorted(result.status for result in results) == [0, 1, 1]
        [winner] = [one for one, result in zip(hosts, results, strict=True) if result.status == 0]
        assert "the store ignores the condition" in winner.database.log()
        assert "best effort" in winner.database.log()
        for result in results:
            if result.status:
                result.failed("is claimed by the cluster of coordinator")
        names = [path.rpartition("/")[2] for path in server.filesystem().find(url.removeprefix("s3://"))]
        assert [
            re.sub(r"[0-9a-f]{12,32}", "TOKEN", name.removeprefix(os.uname().nodename)) for name in sorted(names)
        ] == [
            "claim.TOKEN.json",
            "claim.settled.json",
            ".TOKEN.mark",
        ]
        winner.run("setup_plugin_for_backup", winner.database.directory(0), "segment_host").succeeded()
        winner.run("cleanup_plugin_for_backup", winner.database.directory(-1), "master").succeeded()


def test_a_second_claim_that_was_seen_too_late_fails_the_end(minio: Minio, tmp_path: Path) -> None:
    """A listing of another cluster lagged, and both went on: gpbackup must not end as if all were well."""
    with without_conditions(minio) as server:
        url = f"s3://{server.bucket}/{tmp_path.name}"
        ours, theirs = (host(tmp_path, name, url, server.options) for name in ("ours", "theirs"))
        elsewhere = write_config(tmp_path / "elsewhere.yaml", f"{url}-elsewhere", server.options)
        call_hook(ours, "setup_plugin_for_backup")
        theirs.run("setup_plugin_for_backup", theirs.database.directory(-1), "master", config=elsewhere).succeeded()
        fs, root = server.filesystem(), url.removeprefix("s3://")
        for late in fs.glob(f"{root}-elsewhere/{PREFIX}fsspec_gp_plugin/claim.*"):
            fs.copy(late, f"{root}/{PREFIX}fsspec_gp_plugin/{late.rpartition('/')[2]}")
        ours.run("cleanup_plugin_for_backup", ours.database.directory(-1), "master").failed(
            "was also claimed by the cluster of coordinator", "neither can be trusted"
        )
        segment = ours.database.directory(0)
        ours.run("setup_plugin_for_backup", segment, "segment_host").failed("is claimed by", "and by")


@pytest.mark.parametrize(("path", "kind"), [("/x", "memory"), ("relative", "file")])
def test_a_filesystem_that_keeps_nothing_for_others_fails_setup(database: Database, path: str, kind: str) -> None:
    """One keeps everything in the memory of the process, one means another place in another working directory."""
    config = write_config(database.folder / "plugin.yaml", "dir:///", {"path": path, "target_protocol": kind})
    plugin = Plugin(database, config)
    plugin.run("setup_plugin_for_backup", database.directory(-1), "master").failed(
        "another process on this host, in another working directory, does not find what this one wrote"
    )
    plugin.run("backup_data", database.table(), stdin=b"rows").failed("the setup of backup")


def test_a_journal_of_another_home_is_read_once(local: Plugin, tmp_path: Path) -> None:
    """As an earlier version left it, or a server whose HOME differs from that of the hooks."""
    database = local.database
    text = local.config.read_text()
    local.config.write_text(text.replace("${HOME}/.fsspec_gp_plugin", f"{tmp_path}/state"))
    call_hook(local, "setup_plugin_for_backup")
    local.run("backup_data", database.table(1), stdin=b"rows").succeeded()
    earlier = tmp_path / "earlier.yaml"
    earlier.write_text(text)
    local.run("backup_data", database.table(2), stdin=b"rows", config=earlier).succeeded()
    assert len(list((database.folder / "home/.fsspec_gp_plugin/journal").iterdir())) == 1
    call_hook(local, "cleanup_plugin_for_backup")
    assert list((database.folder / "home/.fsspec_gp_plugin/journal").iterdir()) == []
    [manifest] = (tmp_path / "disk" / PREFIX / "fsspec_gp_plugin").glob("*.manifest.gz")
    lines = gzip.decompress(manifest.read_bytes()).splitlines()
    assert [json.loads(line)[0] for line in lines[1:]] == [f"gpbackup_0_{T}_1", f"gpbackup_0_{T}_2"]
