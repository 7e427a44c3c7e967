"""delete_backup: exactly one backup, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target


@pytest.mark.every_target
def test_it_removes_that_backup_and_nothing_else(plugin: Plugin, target: Target, tmp_path: Path) -> None:
    keep = [
        "backups/20260102/20260102030406/gpbackup_0_20260102030406_1",
        "backups/20260102/202601020304051/looks_alike",
        "backups/20260103/20260102030405/another_day",
        "20260102030405/not_a_backup",
    ]
    target.put([*keep, *(f"backups/20260102/20260102030405/{name}" for name in ("a", "b", "deep/c", ".hidden"))])
    plugin.run("delete_backup", "20260102030405").succeeded()
    assert target.keys() == sorted(keep)
    plugin.run("delete_backup", "20260102030405").succeeded()  # it is gone already
    assert target.keys() == sorted(keep)
    if target.kind == "file":
        assert not (tmp_path / "target/backups/20260102/20260102030405").exists()


@pytest.mark.parametrize("timestamp", ["2026010203040", "20260102", "*", "20260102030405/"])
def test_it_takes_14_digits_and_nothing_else(local: Plugin, tmp_path: Path, timestamp: str) -> None:
    """`test_keys.py` has more of what is no timestamp."""
    kept = tmp_path / "disk/backups/20260102/20260102030405/a"
    kept.parent.mkdir(parents=True)
    kept.write_text("x")
    local.shell(local.command("delete_backup", f"'{timestamp}'")).failed("is not a backup's timestamp", status=2)
    assert kept.exists()


def test_without_a_timestamp_it_deletes_nothing(plugin: Plugin, target: Target) -> None:
    target.put(["backups/20260102/20260102030405/a"])
    plugin.run("delete_backup").failed(
        "expected `fsspec_gp_plugin delete_backup CONFIG TIMESTAMP [--any-cluster]`", status=2
    )
    assert len(target.keys()) == 1


def test_a_link_that_leads_nowhere_is_deleted_too(local: Plugin, tmp_path: Path) -> None:
    local.run("backup_data", local.database.table(), stdin=b"x").succeeded()
    folder = tmp_path / "disk" / "backups/20260102/20260102030405"
    (folder / "link").symlink_to("nowhere")
    local.run("delete_backup", "20260102030405").succeeded()
    assert list((tmp_path / "disk").iterdir()) == []


def test_listing_and_deleting_more_objects_than_one_request_takes_is_complete(plugin: Plugin, target: Target) -> None:
    """S3 lists and deletes 1,000 at a time, and a deletion looks for more after 10,000."""
    count = 10_001 if target.kind == "file" else 2_001
    names = [f"backups/20260102/20260102030405/gpbackup_0_20260102030405_{oid}.gz" for oid in range(count)]
    target.put(names)
    listed = plugin.run("list_directory", "backups/20260102").succeeded().out.decode().splitlines()
    assert listed[0].split() == ["NAME", "SIZE(bytes)"]
    assert [line.split() for line in listed[1:]] == [[name, "1"] for name in sorted(names)]
    plugin.run("delete_backup", "20260102030405").succeeded()
    assert target.keys() == []
