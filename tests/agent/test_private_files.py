"""What the agent has of whoever started it, and what a host keeps, is the user's alone."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.agent.conftest import descriptors, hook, status

if TYPE_CHECKING:
    from tests.protocol.caller import Database, Plugin

pytestmark = pytest.mark.usefixtures("stopped")


def test_it_keeps_nothing_of_whoever_started_it(local: Plugin) -> None:
    """Descriptors, directory, terminal and session, ignored signals, umask; nice only where it may."""
    read, write = os.pipe()
    line = local.command("setup_plugin_for_backup", local.database.directory(), "master")
    process = local.server(f"trap '' HUP INT; {line}", descriptors=[read, write])
    assert process.communicate(timeout=60) == (b"", b"")
    found = status(local.database)
    assert found is not None
    pipe = os.readlink(f"/proc/self/fd/{read}")
    os.close(read)
    os.close(write)
    for pid in (found["pid"], *found["workers"]):
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert os.getsid(pid) == found["pid"]
        assert pipe not in descriptors(pid)
        leads = {leads for leads in descriptors(pid) if not leads.startswith(("socket:", "anon_inode:"))}
        own = str(local.database.folder / "home")
        assert all(leads.startswith((own, "/dev/null", "pipe:", "/dev/zero")) for leads in leads), leads
        lines = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert lines["Umask"] == "0077"
        assert int(lines["SigIgn"], 16) & (1 << (signal.SIGHUP - 1) | 1 << (signal.SIGINT - 1)) == 0
        if os.geteuid() == 0:
            assert os.getpriority(os.PRIO_PROCESS, pid) == 0


def test_its_command_line_and_log_hold_no_secrets(plugin: Plugin) -> None:
    hook(plugin, "setup_plugin_for_backup", "master")
    plugin.run("backup_data", plugin.database.table(), stdin=b"rows").succeeded()
    found = status(plugin.database)
    assert found is not None
    assert found["served"] == 1
    secret = b"minio-test-password"
    for pid in (found["pid"], *found["workers"]):
        assert secret not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert secret.decode() not in plugin.database.log()


def test_what_a_host_keeps_is_its_users_alone(local: Plugin) -> None:
    """Whatever the umask: sockets, locks, journals, manifests, notes on runs, the log."""
    database = local.database
    before = os.umask(0)
    try:
        hook(local, "setup_plugin_for_backup", "master")
        for name in ("toc.yaml", "report"):
            data = database.file(f"gpbackup_{database.timestamp}_{name}")
            local.run("backup_data", data, stdin=b"of this backup").succeeded()
        local.run("backup_data", database.table(), stdin=b"rows").succeeded()
        kept = {path: path.lstat() for path in private_files(database)}
        hook(local, "cleanup_plugin_for_backup", "segment_host")
        hook(local, "setup_plugin_for_restore", "segment_host")
        local.run("restore_data", database.table()).succeeded()
        kept |= {path: path.lstat() for path in private_files(database)}
    finally:
        os.umask(before)
    assert {path.parent.name for path in kept if not path.is_dir()} == {
        "agent",
        "journal",
        "manifests",
        "runs",
        "gpAdminLogs",
    }
    for path, found in kept.items():
        assert found.st_uid == os.geteuid(), path
        assert stat.S_IMODE(found.st_mode) & 0o077 == 0, path


def private_files(database: Database) -> list[Path]:
    """All that is in the home, directories as well."""
    return list((database.folder / "home").rglob("*"))


def test_a_directory_that_is_not_ours_alone_is_not_used(local: Plugin) -> None:
    """Neither a link nor one that others may write to; the hook succeeds and commands do their own work."""
    place = local.database.folder / "home" / ".fsspec_gp_plugin"
    place.mkdir(mode=0o700)
    (local.database.folder / "elsewhere").mkdir(mode=0o700)
    (place / "agent").symlink_to(local.database.folder / "elsewhere")
    for kind in ("link", "open"):
        if kind == "open":
            (place / "agent").unlink()
            (place / "agent").mkdir()
            (place / "agent").chmod(0o777)
        hook(local, "setup_plugin_for_backup", "master")
        assert status(local.database) is None
        assert list((place / "agent").iterdir()) == []
        path = local.database.table()
        local.run("backup_data", path, stdin=b"rows").succeeded()
        assert local.run("restore_data", path).succeeded().out == b"rows"
    assert list((local.database.folder / "elsewhere").iterdir()) == []
