"""Which objects a host's journal and manifest name, and where they are kept meanwhile."""

from __future__ import annotations

import gzip
import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.protocol.agents import Agent
from tests.protocol.made_backups import PREFIX, T, back_up, call_hook, kept, manifests

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target


@pytest.mark.agent_unless_disk
def test_without_checksums_there_is_no_manifest(plugin: Plugin, target: Target) -> None:
    plugin.config.write_text(plugin.config.read_text().replace('"options":', '"options":\n  "checksum": "off"'))
    back_up(plugin, {plugin.database.table(): b"rows"})
    assert manifests(target) == []
    assert kept(plugin.database) == []


@pytest.mark.with_agent
def test_tables_of_many_processes_are_all_in_the_manifest(local: Plugin) -> None:
    database = local.database
    call_hook(local, "setup_plugin_for_backup")
    # A process of its own costs much more than an agent's client.
    count = 200 if Agent.wanted else 40
    line = local.command("backup_data", database.table(16384).replace("16384", "$n"))
    many = f"for n in $(seq 1 {count}); do echo row $n | {line} & [ $((n % 20)) = 0 ] && wait; done; wait"
    local.shell(many).succeeded()
    local.run("cleanup_plugin_for_backup", database.directory(), "segment_host").succeeded()
    [path] = (database.folder.parent / "disk" / PREFIX / "fsspec_gp_plugin").glob("*.manifest.gz")
    header, *lines = gzip.decompress(path.read_bytes()).splitlines()
    assert json.loads(header)["objects"] == count
    assert {json.loads(entry)[0] for entry in lines} == {f"gpbackup_0_{T}_{n}" for n in range(1, count + 1)}
    assert kept(database) == []


@pytest.mark.with_agent
def test_a_failed_stream_is_not_in_the_manifest(local: Plugin, tmp_path: Path) -> None:
    database = local.database
    call_hook(local, "setup_plugin_for_backup")
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
    call_hook(local, "cleanup_plugin_for_backup")
    [path] = (tmp_path / "disk" / PREFIX / "fsspec_gp_plugin").glob("*.manifest.gz")
    assert [json.loads(line)[0] for line in gzip.decompress(path.read_bytes()).splitlines()[1:]] == [
        f"gpbackup_0_{T}_1"
    ]


def test_a_backup_that_failed_leaves_no_journal(local: Plugin) -> None:
    database = local.database
    call_hook(local, "setup_plugin_for_backup")
    local.run("backup_data", database.table(), stdin=b"rows").succeeded()
    assert [name.partition("/")[0] for name in kept(database)] == ["journal"]
    local.run("delete_backup", T).succeeded()
    assert kept(database) == []
    # A second attempt of the same second knows nothing of the first.
    local.run("backup_data", database.table(), stdin=b"rows").succeeded()
    (database.folder.parent / "disk" / database.key(database.table())).unlink()
    call_hook(local, "setup_plugin_for_backup")
    call_hook(local, "cleanup_plugin_for_backup")
    [path] = (database.folder.parent / "disk" / PREFIX / "fsspec_gp_plugin").glob("*.manifest.gz")
    assert json.loads(gzip.decompress(path.read_bytes()))["objects"] == 0


def test_a_manifest_that_can_not_be_stored_fails_the_hook_and_is_kept_for_the_next(
    local: Plugin, tmp_path: Path
) -> None:
    database = local.database
    call_hook(local, "setup_plugin_for_backup")
    local.run("backup_data", database.table(), stdin=b"rows").succeeded()
    folder = tmp_path / "disk" / PREFIX / "fsspec_gp_plugin"
    folder.rename(tmp_path / "aside")
    folder.write_text("in the way")
    local.run("cleanup_plugin_for_backup", database.directory(), "segment_host").failed(
        "the manifest of 1 objects can't be stored", "run it again"
    )
    assert len(kept(database)) == 1
    folder.unlink()
    (tmp_path / "aside").rename(folder)
    local.run("cleanup_plugin_for_backup", database.directory(), "segment_host").succeeded()
    assert kept(database) == []


@pytest.mark.with_agent
def test_what_can_not_be_noted_is_not_stored(local: Plugin, tmp_path: Path) -> None:
    journal = local.database.folder / "home" / ".fsspec_gp_plugin" / "journal"
    journal.parent.mkdir(mode=0o700, exist_ok=True)
    journal.symlink_to(tmp_path)
    local.run("setup_plugin_for_backup", local.database.directory(), "master").failed("journal")
    local.run("backup_data", local.database.table(), stdin=b"rows").failed("journal")
    assert [path for path in (tmp_path / "disk").rglob("*") if path.is_file()] == []


@pytest.mark.with_agent
def test_what_a_host_keeps_is_private_under_any_umask(local: Plugin) -> None:
    database = local.database
    back_up(local, {database.table(): b"rows"})
    line = local.command("setup_plugin_for_restore", database.directory(-1), "master")
    local.shell(f"umask 0; {line}").succeeded()
    line = local.command("backup_data", database.table(2))
    local.shell(f"umask 0; echo rows | {line}").succeeded()
    root = database.folder / "home" / ".fsspec_gp_plugin"
    files = [path for path in root.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} >= {"journal", "manifests"}
    for path in [root, *root.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_hostile_manifest_fails_setup_in_one_line(local: Plugin, tmp_path: Path) -> None:
    back_up(local, {local.database.table(): b"rows"})
    folder = tmp_path / "disk" / PREFIX / "fsspec_gp_plugin"
    for content in (b"junk", gzip.compress(b"[" * (100 << 20)), gzip.compress(b'{"a":' * 100_000)):
        (folder / "evil.manifest.gz").write_bytes(content)
        local.run("setup_plugin_for_restore", local.database.directory(-1), "master").failed("evil.manifest.gz")
    (folder / "evil.manifest.gz").unlink()
    (folder / "something else").write_text("is nobody's")
    call_hook(local, "setup_plugin_for_restore")
