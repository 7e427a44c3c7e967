"""Every object's size and checksum, from the stream that was backed up to the one that is restored."""

from __future__ import annotations

import gzip
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.protocol.caller import Database, Plugin, write_config
from tests.protocol.conftest import PART
from tests.protocol.made_backups import PREFIX, T, back_up, call_hook, change_object, flipped, kept, manifests
from tests.servers.web import Web

if TYPE_CHECKING:
    from tests.protocol.conftest import Target


@pytest.mark.agent_unless_disk
@pytest.mark.every_target
def test_a_manifest_of_all_objects_is_stored_and_restores_are_verified(plugin: Plugin, target: Target) -> None:
    database = plugin.database
    tables = {
        database.table(1): b"",
        database.table(2, segment=1, suffix=".gz"): b"small",
        database.table(3): os.urandom(2 * PART + 3),
    }
    back_up(plugin, tables)
    assert kept(database) == []
    [(header, *lines)] = manifests(target)
    assert (header["timestamp"], header["objects"], header["host"]) == (T, 5, os.uname().nodename[:32])
    assert [row[0] for row in header["members"]] == [-1, 0, 1]
    assert [(name, size) for name, size, _ in lines] == [
        (f"gpbackup_{T}_report", 6),
        (f"gpbackup_{T}_toc.yaml", 8),
        (f"gpbackup_0_{T}_1", 0),
        (f"gpbackup_0_{T}_3", 2 * PART + 3),
        (f"gpbackup_1_{T}_2.gz", 5),
    ]
    call_hook(plugin, "setup_plugin_for_restore")
    for path, data in tables.items():
        assert plugin.run("restore_data", path).succeeded().out == data
    plugin.run("restore_file", database.file(f"gpbackup_{T}_toc.yaml", -1)).succeeded()
    log = database.log()
    assert log.count(", verified") == 4
    assert "unverified" not in log
    call_hook(plugin, "cleanup_plugin_for_restore")
    assert kept(database) == []
    plugin.run("delete_backup", T).succeeded()
    assert target.keys() == []


@pytest.mark.agent_unless_disk
@pytest.mark.parametrize("size", [4096, 3 * PART])
def test_a_byte_flipped_at_rest_is_found_and_the_end_is_held_back(plugin: Plugin, target: Target, size: int) -> None:
    """In a pipe the exit status is lost: whoever reads must see that the stream is not whole.

    tests/unit/test_download.py has more sizes.
    """
    path = plugin.database.table()
    data = os.urandom(size)
    back_up(plugin, {path: data})
    change_object(target, plugin.database.key(path), flipped)
    call_hook(plugin, "setup_plugin_for_restore")
    done = plugin.run("restore_data", path).failed(f"gpbackup_0_{T}_16384", "checksum")
    assert done.out == flipped(data)[: max(0, size - 4096)]
    local = Path(path)
    local.parent.mkdir(parents=True)
    plugin.run("restore_file", str(local)).failed("checksum")
    assert not local.exists()
    # Without checksums it is restored as it is.
    text = plugin.config.read_text().replace('"options":', '"options":\n  "checksum": "off"')
    plugin.config.write_text(text)
    assert plugin.run("restore_data", path).succeeded().out == flipped(data)


@pytest.mark.parametrize("pipeline", ["| cat", "| gzip -d -c"])
def test_the_database_sees_that_a_changed_stream_is_not_whole(local: Plugin, tmp_path: Path, pipeline: str) -> None:
    rows = b"".join(b"%d\trow number %d\n" % (n, n) for n in range(2000))
    if "gzip" in pipeline:
        data = gzip.compress(rows)
        # Another time in the head, which gzip itself does not mind.
        damaged = data[:4] + bytes([data[4] ^ 1]) + data[5:]
        assert gzip.decompress(damaged) == rows
    else:
        data, damaged = rows, flipped(rows)
    path = local.database.table()
    back_up(local, {path: data})
    (tmp_path / "disk" / local.database.key(path)).write_bytes(damaged)
    call_hook(local, "setup_plugin_for_restore")
    process = local.server(local.command("restore_data", path) + pipeline, stdin=subprocess.DEVNULL)
    out, err = process.communicate(timeout=60)
    assert b"checksum" in err
    if "gzip" in pipeline:
        assert b"unexpected end of file" in err
        assert process.returncode == 1
        assert rows.startswith(out)
        assert len(out) < len(rows)
    else:
        assert out == damaged[:-4096]


@pytest.mark.agent_unless_disk
def test_another_size_is_told_before_the_first_byte(plugin: Plugin, target: Target) -> None:
    path = plugin.database.table()
    back_up(plugin, {path: b"0123456789" * 1000})
    call_hook(plugin, "setup_plugin_for_restore")
    change_object(target, plugin.database.key(path), lambda data: data[:-1])
    done = plugin.run("restore_data", path).failed("has 9999 bytes; 10000 were backed up")
    assert done.out == b""
    offsets = plugin.database.folder / "offsets"
    offsets.write_text("1 0 10")
    plugin.run("restore_data_subset", path, str(offsets)).failed("has 9999 bytes; 10000 were backed up")


@pytest.mark.agent_unless_disk
@pytest.mark.parametrize("segments", [{0: 1}, {0: 1, 1: 3}])
def test_setup_for_restore_finds_what_is_gone(plugin: Plugin, target: Target, segments: dict[int, int]) -> None:
    database = plugin.database
    tables = {database.table(n, segment): b"rows" for segment, count in segments.items() for n in range(count)}
    back_up(plugin, tables)
    gone = max(tables)
    with target.store() as store:
        store.delete([database.key(gone)])
    plugin.run("setup_plugin_for_restore", database.directory(-1), "master", '\\"-1\\"').failed(
        os.path.basename(gone), "objects is missing: ", "`restore_incomplete: on`"
    )


def test_setup_for_restore_finds_an_object_of_another_size(local: Plugin, tmp_path: Path) -> None:
    path = local.database.table()
    back_up(local, {path: b"0123456789"})
    (tmp_path / "disk" / local.database.key(path)).write_bytes(b"012345678")
    local.run("setup_plugin_for_restore", local.database.directory(), "segment_host").failed(
        "has 9 bytes, but 10 were backed up"
    )


@pytest.mark.agent_unless_disk
def test_what_other_hosts_have_stored_is_verified_on_any(plugin: Plugin, target: Target, tmp_path: Path) -> None:
    """As on a cluster of another size."""
    folder = tmp_path / "other"
    folder.mkdir(mode=0o700)
    other = Plugin(Database(folder), write_config(folder / "config.yaml", target.url, target.options))
    there = other.database.table(7, segment=1)
    call_hook(plugin, "setup_plugin_for_backup")
    other.run("setup_plugin_for_backup", other.database.directory(1), "segment_host").succeeded()
    other.run("backup_data", there, stdin=b"of another host").succeeded()
    other.run("cleanup_plugin_for_backup", other.database.directory(1), "segment_host").succeeded()
    back_up(plugin, {plugin.database.table(): b"of this host"})
    assert [lines[0]["objects"] for lines in manifests(target)] in ([1, 3], [3, 1])
    call_hook(plugin, "setup_plugin_for_restore")
    here = plugin.database.table(7, segment=1)
    assert plugin.run("restore_data", here).succeeded().out == b"of another host"
    change_object(target, plugin.database.key(here), flipped)
    plugin.run("restore_data", here).failed("checksum")


@pytest.mark.agent_unless_disk
def test_a_backup_without_a_manifest_restores_unverified(plugin: Plugin, target: Target) -> None:
    database = plugin.database
    back_up(plugin, {database.table(): b"rows"})
    with target.store() as store:
        store.delete([info.key for info in store.find(f"{PREFIX}fsspec_gp_plugin/")])
    call_hook(plugin, "setup_plugin_for_restore")
    assert plugin.run("restore_data", database.table()).succeeded().out == b"rows"
    assert "restored unverified, as there is no manifest of it" in database.log()
    assert ", unverified" in database.log()


@pytest.mark.agent_unless_disk
def test_directories_of_a_backup_have_a_manifest_and_are_verified(plugin: Plugin, target: Target) -> None:
    folder = Path(plugin.database.directory())
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"gpbackup_0_{T}_{number}").write_bytes(os.urandom(1000 * number))
    plugin.run("backup_directory_parallel", str(folder), "3").succeeded()
    [(header, *lines)] = manifests(target)
    assert (header["objects"], [line[:2] for line in lines]) == (
        3,
        [[f"gpbackup_0_{T}_{number}", 1000 * number] for number in range(3)],
    )
    for path in folder.iterdir():
        path.unlink()
    plugin.run("restore_directory", str(folder)).succeeded()
    assert sorted(path.name for path in folder.iterdir()) == ["fsspec_gp_plugin"] + [line[0] for line in lines]
    change_object(target, f"{PREFIX}gpbackup_0_{T}_2", flipped)
    plugin.run("restore_directory_parallel", str(folder)).failed("checksum", f"gpbackup_0_{T}_2")
    assert kept(plugin.database) == []


@pytest.mark.agent_unless_disk
def test_two_restores_of_one_backup_do_not_disturb_each_other(plugin: Plugin, target: Target) -> None:
    database = plugin.database
    back_up(plugin, {database.table(): b"rows" * 1000})
    call_hook(plugin, "setup_plugin_for_restore")
    call_hook(plugin, "setup_plugin_for_restore")
    call_hook(plugin, "cleanup_plugin_for_restore")
    change_object(target, database.key(database.table()), flipped)
    plugin.run("restore_data", database.table()).failed("checksum")
    call_hook(plugin, "cleanup_plugin_for_restore")
    assert kept(database) == []


@pytest.mark.agent_unless_disk
def test_the_backups_that_an_incremental_one_builds_upon_are_verified(plugin: Plugin, target: Target) -> None:
    """Gprestore's hooks name the last one only."""
    database = plugin.database
    full = database.table()
    back_up(plugin, {full: b"of the full backup"})
    later = "20260103040506"
    database.timestamp = later
    call_hook(plugin, "setup_plugin_for_backup")
    folder = Path(database.directory(-1))
    folder.mkdir(parents=True)
    plan = f'restoreplan:\n- timestamp: "{T}"\n  tablefqns:\n  - public.a\n- timestamp: {later}\n  tablefqns: []\n'
    files = {"toc.yaml": "toc", "report": "report", "metadata.sql": "", "config.yaml": f"timestamp: 1\n{plan}"}
    for name, content in files.items():
        (folder / f"gpbackup_{later}_{name}").write_text(content)
        plugin.run("backup_file", str(folder / f"gpbackup_{later}_{name}")).succeeded()
    call_hook(plugin, "cleanup_plugin_for_backup")
    call_hook(plugin, "setup_plugin_for_restore")
    assert plugin.run("restore_data", full).succeeded().out == b"of the full backup"
    assert ", verified" in database.log()
    change_object(target, database.key(full), flipped)
    plugin.run("restore_data", full).failed("checksum")
    call_hook(plugin, "cleanup_plugin_for_restore")
    assert kept(database) == []


def test_a_backup_is_restored_and_verified_from_a_web_server_and_none_is_made_there(
    local: Plugin, tmp_path: Path
) -> None:
    """Whose listings tell no sizes."""
    path = local.database.table()
    back_up(local, {path: b"rows" * 1000})
    with Web(tmp_path / "disk") as server:
        write_config(local.config, server.endpoint)
        call_hook(local, "setup_plugin_for_restore")
        assert local.run("restore_data", path).succeeded().out == b"rows" * 1000
        local.database.timestamp = "20260102030406"
        local.run("setup_plugin_for_backup", local.database.directory(-1), "master").failed("is for restore only")
    assert ", verified" in local.database.log()


def test_a_web_server_that_sends_no_ranges_is_found_before_any_data(local: Plugin, tmp_path: Path) -> None:
    back_up(local, {local.database.table(): b"rows"})
    with Web(tmp_path / "disk") as server:
        server.sends_ranges = False
        write_config(local.config, server.endpoint)
        refused = local.run("setup_plugin_for_restore", local.database.directory(-1), "master")
    refused.failed(server.endpoint, "the server sends no ranges", status=1)
