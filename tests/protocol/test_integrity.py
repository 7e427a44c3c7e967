"""Every object's size and checksum, from the stream that was backed up to the one that is restored."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.storage.opening import open_store
from tests.protocol.caller import Database, Plugin, write_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.protocol.conftest import Target

PART = 5 << 20
T = "20260102030405"
PREFIX = f"backups/20260102/{T}/"


def hook(plugin: Plugin, name: str) -> None:
    """A hook as a host calls it. Those of the other scopes do the same, or less; each call costs."""
    plugin.run(name, plugin.database.directory(-1), "segment_host").succeeded()


def backed_up(plugin: Plugin, tables: dict[str, bytes]) -> None:
    """A backup, as gpbackup makes it."""
    database = plugin.database
    for path, data in tables.items():
        plugin.run("backup_data", path, stdin=data).succeeded()
    for name in ("toc.yaml", "report"):
        file = Path(database.file(f"gpbackup_{T}_{name}", -1))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        plugin.run("backup_file", str(file)).succeeded()
    hook(plugin, "cleanup_plugin_for_backup")


def changed(target: Target, key: str, change: Callable[[bytes], bytes]) -> None:
    """The object with other bytes, as bit rot or an intruder leaves it."""
    store = open_store(target.url, target.options)
    info = store.stat(key)
    data = bytearray(info.size)
    for _ in store.read(info, 0, memoryview(data)):
        pass
    store.put(key, memoryview(change(bytes(data))))
    store.close()


def manifests(target: Target) -> list[list[Any]]:
    """The lines of each manifest at the target."""
    store = open_store(target.url, target.options)
    found = []
    for info in sorted(store.find(f"{PREFIX}fsspec_gp_plugin/"), key=lambda info: info.key):
        data = bytearray(info.size)
        for _ in store.read(info, 0, memoryview(data)):
            pass
        found.append([json.loads(line) for line in gzip.decompress(data).splitlines()])
    store.close()
    return found


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def kept(database: Database) -> list[str]:
    """What the host remembers."""
    root = database.folder / "home" / ".fsspec_gp_plugin"
    return sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and "agent" not in path.parts
    )


@pytest.mark.every_target
def test_a_manifest_of_all_objects_is_stored_and_restores_are_verified(plugin: Plugin, target: Target) -> None:
    database = plugin.database
    tables = {
        database.table(1): b"",
        database.table(2, segment=1, suffix=".gz"): b"small",
        database.table(3): os.urandom(2 * PART + 3),
    }
    backed_up(plugin, tables)
    assert kept(database) == []
    [(header, *lines)] = manifests(target)
    assert (header["timestamp"], header["objects"], header["host"]) == (T, 5, os.uname().nodename[:32])
    assert [(name, size) for name, size, _ in lines] == sorted(
        [
            (f"gpbackup_0_{T}_1", 0),
            (f"gpbackup_0_{T}_3", 2 * PART + 3),
            (f"gpbackup_1_{T}_2.gz", 5),
            (f"gpbackup_{T}_report", 6),
            (f"gpbackup_{T}_toc.yaml", 8),
        ]
    )
    hook(plugin, "setup_plugin_for_restore")
    for path, data in tables.items():
        assert plugin.run("restore_data", path).succeeded().out == data
    plugin.run("restore_file", database.file(f"gpbackup_{T}_toc.yaml", -1)).succeeded()
    log = database.log()
    assert log.count(", verified") == 4
    assert "unverified" not in log
    hook(plugin, "cleanup_plugin_for_restore")
    assert kept(database) == []
    plugin.run("delete_backup", T).succeeded()
    assert target.keys() == []


@pytest.mark.parametrize("size", [1, 4096, 4097, 3 * PART])
def test_a_byte_flipped_at_rest_is_found_and_the_end_is_held_back(plugin: Plugin, target: Target, size: int) -> None:
    """In a pipe the exit status is lost: whoever reads must see that the stream is not whole."""
    path = plugin.database.table()
    data = os.urandom(size)
    backed_up(plugin, {path: data})
    changed(target, plugin.database.key(path), flipped)
    hook(plugin, "setup_plugin_for_restore")
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
    backed_up(local, {path: data})
    (tmp_path / "disk" / local.database.key(path)).write_bytes(damaged)
    hook(local, "setup_plugin_for_restore")
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


def test_another_size_is_told_before_the_first_byte(plugin: Plugin, target: Target) -> None:
    path = plugin.database.table()
    backed_up(plugin, {path: b"0123456789" * 1000})
    hook(plugin, "setup_plugin_for_restore")
    changed(target, plugin.database.key(path), lambda data: data[:-1])
    done = plugin.run("restore_data", path).failed("has 9999 bytes; 10000 were backed up")
    assert done.out == b""
    offsets = plugin.database.folder / "offsets"
    offsets.write_text("1 0 10")
    plugin.run("restore_data_subset", path, str(offsets)).failed("has 9999 bytes; 10000 were backed up")


@pytest.mark.parametrize("segments", [{0: 1}, {0: 1, 1: 3}])
def test_setup_for_restore_finds_what_is_gone(plugin: Plugin, target: Target, segments: dict[int, int]) -> None:
    database = plugin.database
    tables = {database.table(n, segment): b"rows" for segment, count in segments.items() for n in range(count)}
    backed_up(plugin, tables)
    gone = max(tables)
    store = open_store(target.url, target.options)
    store.delete([database.key(gone)])
    store.close()
    plugin.run("setup_plugin_for_restore", database.directory(-1), "master", '\\"-1\\"').failed(
        os.path.basename(gone), "not at the target", "`checksum: off`"
    )
    # What the coordinator does not look at in a large backup, the segment does, where that costs less.
    segment = max(segments)
    if target.kind == "file":
        return
    plugin.run("setup_plugin_for_restore", database.directory(segment), "segment", f'\\"{segment}\\"').failed(
        os.path.basename(gone), "not at the target"
    )


def test_setup_for_restore_finds_an_object_of_another_size(local: Plugin, tmp_path: Path) -> None:
    path = local.database.table()
    backed_up(local, {path: b"0123456789"})
    (tmp_path / "disk" / local.database.key(path)).write_bytes(b"012345678")
    local.run("setup_plugin_for_restore", local.database.directory(), "segment_host").failed(
        "has 9 bytes, but 10 were backed up"
    )


def test_what_other_hosts_have_stored_is_verified_on_any(plugin: Plugin, target: Target, tmp_path: Path) -> None:
    """As on a cluster of another size."""
    folder = tmp_path / "other"
    folder.mkdir(mode=0o700)
    other = Plugin(Database(folder), write_config(folder / "config.yaml", target.url, target.options))
    there = other.database.table(7, segment=1)
    other.run("setup_plugin_for_backup", other.database.directory(1), "segment_host").succeeded()
    other.run("backup_data", there, stdin=b"of another host").succeeded()
    other.run("cleanup_plugin_for_backup", other.database.directory(1), "segment_host").succeeded()
    backed_up(plugin, {plugin.database.table(): b"of this host"})
    assert [lines[0]["objects"] for lines in manifests(target)] in ([1, 3], [3, 1])
    hook(plugin, "setup_plugin_for_restore")
    here = plugin.database.table(7, segment=1)
    assert plugin.run("restore_data", here).succeeded().out == b"of another host"
    changed(target, plugin.database.key(here), flipped)
    plugin.run("restore_data", here).failed("checksum")


def test_a_backup_without_a_manifest_restores_unverified(plugin: Plugin, target: Target) -> None:
    database = plugin.database
    backed_up(plugin, {database.table(): b"rows"})
    store = open_store(target.url, target.options)
    store.delete([info.key for info in store.find(f"{PREFIX}fsspec_gp_plugin/")])
    store.close()
    hook(plugin, "setup_plugin_for_restore")
    assert plugin.run("restore_data", database.table()).succeeded().out == b"rows"
    assert "restored unverified, as there is no manifest of it" in database.log()
    assert ", unverified" in database.log()


def test_without_checksums_there_is_no_manifest(plugin: Plugin, target: Target) -> None:
    plugin.config.write_text(plugin.config.read_text().replace('"options":', '"options":\n  "checksum": "off"'))
    backed_up(plugin, {plugin.database.table(): b"rows"})
    assert manifests(target) == []
    assert kept(plugin.database) == []


def test_tables_of_hundreds_of_processes_are_all_in_the_manifest(local: Plugin) -> None:
    database = local.database
    hook(local, "setup_plugin_for_backup")
    line = local.command("backup_data", database.table(16384).replace("16384", "$n"))
    local.shell(f"for n in $(seq 1 200); do echo row $n | {line} & [ $((n % 20)) = 0 ] && wait; done; wait").succeeded()
    local.run("cleanup_plugin_for_backup", database.directory(), "segment_host").succeeded()
    [path] = (database.folder.parent / "disk" / PREFIX / "fsspec_gp_plugin").iterdir()
    header, *lines = gzip.decompress(path.read_bytes()).splitlines()
    assert json.loads(header)["objects"] == 200
    assert {json.loads(entry)[0] for entry in lines} == {f"gpbackup_0_{T}_{n}" for n in range(1, 201)}
    assert kept(database) == []


def test_a_failed_stream_is_not_in_the_manifest(local: Plugin, tmp_path: Path) -> None:
    database = local.database
    hook(local, "setup_plugin_for_backup")
    local.run("backup_data", database.table(1), stdin=b"whole").succeeded()
    process = local.start("backup_data", database.table(2))
    assert process.stdin is not None
    process.stdin.write(b"half")
    process.stdin.flush()
    deadline = time.monotonic() + 20
    while not list((tmp_path / "disk").rglob("*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.wait(60)  # with its input still open: at the end of it there would be nothing left to interrupt
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    hook(local, "cleanup_plugin_for_backup")
    [path] = (tmp_path / "disk" / PREFIX / "fsspec_gp_plugin").iterdir()
    assert [json.loads(line)[0] for line in gzip.decompress(path.read_bytes()).splitlines()[1:]] == [
        f"gpbackup_0_{T}_1"
    ]


def test_a_backup_that_failed_leaves_no_journal(local: Plugin) -> None:
    database = local.database
    hook(local, "setup_plugin_for_backup")
    local.run("backup_data", database.table(), stdin=b"rows").succeeded()
    assert [name.partition("/")[0] for name in kept(database)] == ["journal"]
    local.run("delete_backup", T).succeeded()
    assert kept(database) == []
    # A second attempt of the same second knows nothing of the first.
    local.run("backup_data", database.table(), stdin=b"rows").succeeded()
    hook(local, "setup_plugin_for_backup")
    hook(local, "cleanup_plugin_for_backup")
    assert not (database.folder.parent / "disk" / PREFIX / "fsspec_gp_plugin").exists()


def test_a_manifest_that_can_not_be_stored_fails_the_hook_and_is_kept_for_the_next(
    local: Plugin, tmp_path: Path
) -> None:
    database = local.database
    hook(local, "setup_plugin_for_backup")
    local.run("backup_data", database.table(), stdin=b"rows").succeeded()
    (tmp_path / "disk" / PREFIX / "fsspec_gp_plugin").write_text("in the way")
    local.run("cleanup_plugin_for_backup", database.directory(), "segment_host").failed(
        "the manifest of 1 objects can't be stored", "run it again"
    )
    assert len(kept(database)) == 1
    (tmp_path / "disk" / PREFIX / "fsspec_gp_plugin").unlink()
    local.run("cleanup_plugin_for_backup", database.directory(), "segment_host").succeeded()
    assert kept(database) == []


def test_what_can_not_be_noted_is_not_stored(local: Plugin, tmp_path: Path) -> None:
    journal = local.database.folder / "home" / ".fsspec_gp_plugin" / "journal"
    journal.parent.mkdir(mode=0o700, exist_ok=True)
    journal.symlink_to(tmp_path)
    local.run("setup_plugin_for_backup", local.database.directory(), "segment_host").failed("journal")
    local.run("backup_data", local.database.table(), stdin=b"rows").failed("journal")
    assert [path for path in (tmp_path / "disk").rglob("*") if path.is_file()] == []


def test_what_a_host_keeps_is_private_under_any_umask(local: Plugin) -> None:
    database = local.database
    backed_up(local, {database.table(): b"rows"})
    line = local.command("setup_plugin_for_restore", database.directory(-1), "master")
    local.shell(f"umask 0; {line}").succeeded()
    line = local.command("backup_data", database.table(2))
    local.shell(f"umask 0; echo rows | {line}").succeeded()
    root = database.folder / "home" / ".fsspec_gp_plugin"
    files = [path for path in root.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} >= {"journal", "manifests"}
    for path in [root, *root.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


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
    changed(target, f"{PREFIX}gpbackup_0_{T}_2", flipped)
    plugin.run("restore_directory_parallel", str(folder)).failed("checksum", f"gpbackup_0_{T}_2")
    assert kept(plugin.database) == []


def test_a_hostile_manifest_fails_setup_in_one_line(local: Plugin, tmp_path: Path) -> None:
    backed_up(local, {local.database.table(): b"rows"})
    folder = tmp_path / "disk" / PREFIX / "fsspec_gp_plugin"
    for content in (b"junk", gzip.compress(b"[" * (100 << 20)), gzip.compress(b'{"a":' * 100_000)):
        (folder / "evil.manifest.gz").write_bytes(content)
        local.run("setup_plugin_for_restore", local.database.directory(-1), "master").failed("evil.manifest.gz")
    (folder / "evil.manifest.gz").unlink()
    (folder / "something else").write_text("is nobody's")
    hook(local, "setup_plugin_for_restore")


def test_two_restores_of_one_backup_do_not_disturb_each_other(plugin: Plugin, target: Target) -> None:
    database = plugin.database
    backed_up(plugin, {database.table(): b"rows" * 1000})
    hook(plugin, "setup_plugin_for_restore")
    hook(plugin, "setup_plugin_for_restore")
    hook(plugin, "cleanup_plugin_for_restore")
    changed(target, database.key(database.table()), flipped)
    plugin.run("restore_data", database.table()).failed("checksum")
    hook(plugin, "cleanup_plugin_for_restore")
    assert kept(database) == []


def test_the_backups_that_an_incremental_one_builds_upon_are_verified(plugin: Plugin, target: Target) -> None:
    """Gprestore's hooks name the last one only."""
    database = plugin.database
    full = database.table()
    backed_up(plugin, {full: b"of the full backup"})
    later = "20260103040506"
    database.timestamp = later
    hook(plugin, "setup_plugin_for_backup")
    folder = Path(database.directory(-1))
    folder.mkdir(parents=True)
    plan = f'restoreplan:\n- timestamp: "{T}"\n  tablefqns:\n  - public.a\n- timestamp: {later}\n  tablefqns: []\n'
    for name, content in (("toc.yaml", "toc"), ("report", "report"), ("config.yaml", f"timestamp: 1\n{plan}")):
        (folder / f"gpbackup_{later}_{name}").write_text(content)
        plugin.run("backup_file", str(folder / f"gpbackup_{later}_{name}")).succeeded()
    hook(plugin, "cleanup_plugin_for_backup")
    hook(plugin, "setup_plugin_for_restore")
    assert plugin.run("restore_data", full).succeeded().out == b"of the full backup"
    assert ", verified" in database.log()
    changed(target, database.key(full), flipped)
    plugin.run("restore_data", full).failed("checksum")
    hook(plugin, "cleanup_plugin_for_restore")
    assert kept(database) == []


def test_a_backup_is_restored_and_verified_from_a_web_server(local: Plugin, tmp_path: Path) -> None:
    """Whose listings tell no sizes."""
    path = local.database.table()
    backed_up(local, {path: b"rows" * 1000})
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "disk"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        write_config(local.config, f"http://127.0.0.1:{server.server_port}")
        hook(local, "setup_plugin_for_restore")
        assert local.run("restore_data", path).succeeded().out == b"rows" * 1000
        server.shutdown()
    assert ", verified" in local.database.log()
