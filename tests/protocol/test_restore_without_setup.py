"""Restores for which no setup hook was called on this host: by hand, or by other programs."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.protocol.made_backups import PREFIX, T, back_up, call_hook, change_object, flipped, kept

if TYPE_CHECKING:
    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target


@pytest.mark.agent_unless_disk
def test_a_byte_flipped_at_rest_is_found(plugin: Plugin, target: Target) -> None:
    database = plugin.database
    whole, damaged = database.table(1), database.table(2)
    data = {whole: os.urandom(5000), damaged: os.urandom(9000)}
    back_up(plugin, data)
    change_object(target, database.key(damaged), flipped)
    assert plugin.run("restore_data", whole).succeeded().out == data[whole]
    done = plugin.run("restore_data", damaged).failed(f"gpbackup_0_{T}_2", "checksum")
    assert len(done.out) == 9000 - 4096
    local = Path(damaged)
    local.parent.mkdir(parents=True)
    plugin.run("restore_file", damaged).failed("checksum")
    assert not local.exists()
    change_object(target, database.key(damaged), lambda data: data[:-1])
    offsets = database.folder / "offsets"
    offsets.write_text("1 0 10")
    plugin.run("restore_data_subset", damaged, str(offsets)).failed("has 8999 bytes; 9000 were backed up")
    log = database.log()
    assert log.count("the manifests name 2 objects of content id 0; no setup hook has fetched them here") == 1
    assert "unverified" not in log
    # The end of a restore takes it away.
    assert any(".fetched" in name for name in kept(database))
    call_hook(plugin, "cleanup_plugin_for_restore")
    assert kept(database) == []


def test_what_has_no_manifest_is_asked_for_it_once(local: Plugin, tmp_path: Path) -> None:
    path = local.database.table()
    local.run("backup_data", path, stdin=b"rows").succeeded()
    for _ in range(2):
        assert local.run("restore_data", path).succeeded().out == b"rows"
    log = local.database.log()
    assert log.count("restored unverified, as there is no manifest of it") == 1
    assert log.count(", unverified") == 2
    local.run("cleanup_plugin_for_backup", local.database.directory(-1), "segment_host").succeeded()
    # Now there is one.
    assert len(list((tmp_path / "disk" / PREFIX / "fsspec_gp_plugin").iterdir())) == 1
    local.run("restore_data", path).succeeded()
    assert local.database.log().count(", verified") == 1
    local.run("delete_backup", T).succeeded()
    assert kept(local.database) == []


def test_two_hosts_that_have_written_one_object_are_told(local: Plugin, tmp_path: Path) -> None:
    path = local.database.table()
    back_up(local, {path: b"rows of one cluster"})
    folder = tmp_path / "disk" / PREFIX / "fsspec_gp_plugin"
    [first] = folder.iterdir()
    first.rename(tmp_path / "kept")
    local.run("backup_data", path, stdin=b"rows of the other cluster").succeeded()
    call_hook(local, "cleanup_plugin_for_backup")
    [second] = folder.iterdir()
    data = (tmp_path / "kept").read_bytes()
    index = gzip.decompress(data[: data.index(b"\x1f\x8b", 1)])
    changed = gzip.compress(index.replace(os.uname().nodename.encode(), b"mdw-of-another"))
    other = re.sub(r"^.*?(?=\.[0-9a-f]{12}-)", "mdw-of-another", first.name)
    (folder / other).write_bytes(changed + data[data.index(b"\x1f\x8b", 1) :])
    for done in (
        local.run("restore_data", path),
        local.run("setup_plugin_for_restore", local.database.directory(-1), "master", "-1"),
    ):
        done.failed(
            f"two hosts disagree about gpbackup_0_{T}_16384",
            "mdw-of-another says 19 bytes",
            second.name,
            "checksum: off",
        )
        assert done.out == b""


def test_of_many_processes_one_fetches(local: Plugin) -> None:
    path = local.database.table()
    back_up(local, {path: b"rows"})
    processes = [local.start("restore_data", path) for _ in range(6)]
    assert [process.communicate(timeout=60) for process in processes] == [(b"rows", b"")] * 6
    log = local.database.log()
    assert log.count("no setup hook has fetched them here") == 1
    assert log.count(", verified") == 6
