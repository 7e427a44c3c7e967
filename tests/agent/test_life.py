"""When the agent is there and when not: hooks start and end it, people ask for it, and it leaves by itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import fsspec_gp_plugin
from fsspec_gp_plugin.agent import wire
from tests.agent.conftest import PATIENCE, descriptors, is_gone, wait_until, write_config
from tests.protocol.caller import Agent, Plugin, ask_agent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.protocol.caller import Database


@pytest.fixture(autouse=True)
def _stopped(database: Database) -> Iterator[None]:
    """What a hook has started ends with the test, whatever came of it."""
    yield
    found = status(database)
    if found is not None:
        ask_agent(str(database.folder / "home"), "stop")
        wait_until_gone(found["pid"])


def status(database: Database) -> dict[str, Any] | None:
    try:
        return ask_agent(str(database.folder / "home"), "status")
    except OSError:
        return None


def wait_until_gone(pid: int) -> None:
    wait_until(lambda: is_gone(pid))


def hook(plugin: Plugin, name: str, scope: str, timestamp: str = "20260102030405") -> None:
    directory = plugin.database.directory().replace(plugin.database.timestamp, timestamp)
    plugin.run(name, directory, scope).succeeded()


def test_hooks_start_one_agent_and_the_last_cleanup_ends_it(local: Plugin) -> None:
    database = local.database
    assert status(database) is None
    for name in ("toc.yaml", "report"):
        earlier = database.file(f"gpbackup_{database.timestamp}_{name}").replace(database.timestamp, "20260102030406")
        local.run("backup_data", earlier, stdin=b"of another backup").succeeded()
    hook(local, "setup_plugin_for_backup", "master")
    first = status(database)
    assert first is not None
    for scope in ("segment_host", "segment"):
        hook(local, "setup_plugin_for_backup", scope)
    hook(local, "setup_plugin_for_restore", "segment_host", "20260102030406")
    found = status(database)
    assert found is not None
    assert found["pid"] == first["pid"]
    assert found["users"] == [
        "backup 20260102030405 coordinator",
        "backup 20260102030405 segment_host",
        "restore 20260102030406 segment_host",
    ]
    path = database.table()
    local.run("backup_data", path, stdin=b"rows").succeeded()
    assert local.run("restore_data", path).succeeded().out == b"rows"
    hook(local, "cleanup_plugin_for_backup", "master")
    hook(local, "cleanup_plugin_for_backup", "segment_host")
    found = status(database)
    assert found is not None
    assert (found["users"], found["served"]) == (["restore 20260102030406 segment_host"], 2)
    hook(local, "cleanup_plugin_for_restore", "segment_host", "20260102030406")
    wait_until_gone(first["pid"])
    assert status(database) is None


def test_a_hook_in_the_scope_of_a_segment_starts_none(local: Plugin) -> None:
    hook(local, "setup_plugin_for_backup", "segment")
    assert status(local.database) is None


def test_where_it_is_switched_off_there_is_none(local: Plugin, tmp_path: Path) -> None:
    local.config = write_config(local.config, f"file://{tmp_path}/disk", agent="off")
    hook(local, "setup_plugin_for_backup", "master")
    assert status(local.database) is None


def test_it_keeps_nothing_of_whoever_started_it(local: Plugin) -> None:
    """Descriptors, directory, terminal and session, ignored signals, umask; nice only where it may."""
    read, write = os.pipe()
    line = local.command("setup_plugin_for_backup", local.database.directory(), "segment_host")
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


def test_what_a_host_keeps_is_its_users_alone(local: Plugin) -> None:
    """Whatever the umask: sockets, locks, journals, manifests, marks, the log."""
    database = local.database
    before = os.umask(0)
    try:
        for name in ("toc.yaml", "report"):
            data = database.file(f"gpbackup_{database.timestamp}_{name}")
            local.run("backup_data", data, stdin=b"of this backup").succeeded()
        hook(local, "setup_plugin_for_backup", "segment_host")
        local.run("backup_data", database.table(), stdin=b"rows").succeeded()
        kept = {path: path.lstat() for path in private_files(database)}
        hook(local, "cleanup_plugin_for_backup", "segment_host")
        hook(local, "setup_plugin_for_restore", "segment_host")
        local.run("restore_data", database.table()).succeeded()
        kept |= {path: path.lstat() for path in private_files(database)}
    finally:
        os.umask(before)
    assert {path.parent.name for path in kept if not path.is_dir()} == {"agent", "journal", "manifests", "gpAdminLogs"}
    for path, found in kept.items():
        assert found.st_uid == os.geteuid(), path
        assert stat.S_IMODE(found.st_mode) & 0o077 == 0, path


def private_files(database: Database) -> list[Path]:
    """All that is in the home, directories as well."""
    return list((database.folder / "home").rglob("*"))


def test_its_command_line_and_log_hold_no_secrets(plugin: Plugin) -> None:
    hook(plugin, "setup_plugin_for_backup", "segment_host")
    plugin.run("backup_data", plugin.database.table(), stdin=b"rows").succeeded()
    found = status(plugin.database)
    assert found is not None
    assert found["served"] == 1
    secret = b"minio-test-password"
    for pid in (found["pid"], *found["workers"]):
        assert secret not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert secret.decode() not in plugin.database.log()


def test_one_that_idles_leaves(database: Database) -> None:
    agent = Agent(database, idle=1)
    pid = agent.ask("status")["pid"]
    wait_until_gone(pid)
    assert "agent ended: idle for" in database.log()
    assert status(database) is None


@pytest.mark.parametrize("how", ["removed", "another user's"])
def test_one_whose_socket_is_gone_leaves(database: Database, how: str) -> None:
    """Nobody could find it, and another one may be there instead."""
    if how != "removed" and os.geteuid() != 0:
        pytest.skip("only root can give files away")
    agent = Agent(database)
    pid = agent.ask("status")["pid"]
    path = database.folder / "home/.fsspec_gp_plugin/agent" / wire.socket_name()
    if how == "removed":
        path.unlink()
    else:
        os.chown(path, 65534, 65534)
    wait_until_gone(pid)
    assert "agent ended: its socket is gone" in database.log()


def test_one_whose_installation_was_replaced_leaves(database: Database, tmp_path: Path) -> None:
    own = tmp_path / "installed"
    shutil.copytree(Path(fsspec_gp_plugin.__file__).parent, own / "fsspec_gp_plugin")
    program = (
        f"import sys; sys.path.insert(0, {str(own)!r}); from fsspec_gp_plugin.dispatch import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-I", "-c", program, "agent", "serve", "60", "file"]
    environment = {"HOME": str(database.folder / "home")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        found = status(database)
        assert found is not None
        assert found["pid"] == process.pid
        os.utime(own / "fsspec_gp_plugin" / "__init__.py")
        assert process.wait(PATIENCE) == 0
    assert "its installation was replaced" in database.log()


def test_a_hook_with_another_environment_replaces_one_that_nobody_needs(local: Plugin) -> None:
    database = local.database
    first = Agent(database).ask("status")
    database.extra["AWS_PROFILE"] = "another"
    hook(local, "setup_plugin_for_backup", "segment_host")
    found = status(database)
    assert found is not None
    assert found["pid"] != first["pid"]
    local.run("backup_data", database.table(), stdin=b"rows").succeeded()
    found = status(database)
    assert found is not None
    assert found["served"] == 1


def test_a_hook_with_another_environment_leaves_one_alone_that_is_needed(local: Plugin) -> None:
    database = local.database
    hook(local, "setup_plugin_for_backup", "segment_host")
    first = status(database)
    database.extra["AWS_PROFILE"] = "another"
    hook(local, "setup_plugin_for_backup", "segment_host", "20260102030406")
    assert first is not None
    assert status(database) == {**first, "seconds": (status(database) or {})["seconds"]}
    assert local.run("backup_data", database.table(), stdin=b"rows").succeeded().out == b""
    assert (status(database) or {})["served"] == 0
    del database.extra["AWS_PROFILE"]


def test_after_a_kill_9_the_next_hook_starts_another(local: Plugin) -> None:
    database = local.database
    hook(local, "setup_plugin_for_backup", "segment_host")
    first = status(database)
    assert first is not None
    os.kill(first["pid"], signal.SIGKILL)
    for worker in first["workers"]:
        wait_until_gone(worker)
    path = database.table()
    local.run("backup_data", path, stdin=b"rows").succeeded()
    hook(local, "setup_plugin_for_backup", "segment_host")
    found = status(database)
    assert found is not None
    assert found["pid"] != first["pid"]
    assert local.run("restore_data", path).succeeded().out == b"rows"


def test_two_installations_have_agents_of_their_own(local: Plugin, tmp_path: Path) -> None:
    """As while one cluster is upgraded and another is not, or a user tries a later version."""
    second = tmp_path / "second"
    venv.create(second, with_pip=False, symlinks=True)
    [packages] = second.glob("lib/python3*/site-packages")
    code = Path(fsspec_gp_plugin.__file__).parent.parent
    (packages / "first.pth").write_text(f"{sysconfig.get_path('purelib')}\n{code}\n")
    for program in local.executable.parent.glob("fsspec_gp_plugin*"):
        shutil.copy(program, second / "bin")
    shutil.copytree(local.executable.parent.parent / "libexec", second / "libexec")
    other = Plugin(local.database, local.config, second / "bin" / local.executable.name)

    def asked(plugin: Plugin, what: str) -> str:
        return subprocess.run(
            [str(plugin.executable), "agent", what], env=local.database.environment(), capture_output=True, check=False
        ).stdout.decode()

    try:
        for plugin, segment in ((local, 0), (other, 1)):
            hook(plugin, "setup_plugin_for_backup", "segment_host")
            plugin.run("backup_data", local.database.table(segment), stdin=b"rows").succeeded()
        first, later = (asked(plugin, "status").splitlines() for plugin in (local, other))
        assert first[0] != later[0]
        assert first[2] == later[2] == "commands: 0 running, 1 served"
        assert "has ended" in asked(local, "stop")
        assert local.run("restore_data", local.database.table(1)).succeeded().out == b"rows"
        assert other.run("restore_data", local.database.table(0)).succeeded().out == b"rows"
        assert "commands: 0 running, 2 served" in asked(other, "status")
    finally:
        asked(other, "stop")


def test_people_can_ask_for_it_and_stop_it(local: Plugin) -> None:
    def agent(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(local.executable), "agent", *words],
            env=local.database.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    none = agent("status")
    assert (none.returncode, none.stderr) == (1, "")
    assert "no agent runs on this host" in none.stdout
    assert json.loads(agent("status", "--json").stdout) == {"runs": False}
    assert agent("stop").returncode == 1
    hook(local, "setup_plugin_for_backup", "segment_host")
    told = agent("status")
    assert told.returncode == 0
    assert "needed by: backup 20260102030405 segment_host" in told.stdout
    asked = json.loads(agent("status", "--json").stdout)
    assert (asked["runs"], asked["streams"], asked["users"]) == (True, 0, ["backup 20260102030405 segment_host"])
    stopped = agent("stop")
    assert stopped.returncode == 0
    assert "has ended" in stopped.stdout
    assert status(local.database) is None
    assert agent("--help").returncode == 0
    assert agent("dance").returncode == 2
    assert agent("dance").stderr.startswith("usage: fsspec_gp_plugin agent")


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
        hook(local, "setup_plugin_for_backup", "segment_host")
        assert status(local.database) is None
        assert list((place / "agent").iterdir()) == []
        path = local.database.table()
        local.run("backup_data", path, stdin=b"rows").succeeded()
        assert local.run("restore_data", path).succeeded().out == b"rows"
    assert list((local.database.folder / "elsewhere").iterdir()) == []
