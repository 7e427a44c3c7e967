"""When the agent is there and when not: hooks start and end it, people ask for it, and it leaves by itself."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fsspec_gp_plugin
from fsspec_gp_plugin.agent import wire
from fsspec_gp_plugin.agent.wire import CONTROL
from tests.agent.conftest import PATIENCE, hook, status, wait_until_gone, write_config
from tests.protocol.agents import Agent
from tests.protocol.caller import Plugin

if TYPE_CHECKING:
    from tests.protocol.caller import Database

pytestmark = pytest.mark.usefixtures("stopped")


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
    assert found["users"] == ["restore 20260102030406 segment_host"]
    hook(local, "cleanup_plugin_for_restore", "segment_host", "20260102030406")
    hook(local, "cleanup_plugin_for_restore", "segment", "20260102030406")
    found = status(database)
    assert found is not None
    assert (found["pid"], found["users"]) == (first["pid"], [])
    # All but the setup hook that has started it, and two commands with data.
    assert found["served"] == 9
    wait_until_gone(first["pid"])
    assert status(database) is None


def test_a_hook_in_the_scope_of_a_segment_starts_none(local: Plugin) -> None:
    hook(local, "setup_plugin_for_backup", "segment")
    assert status(local.database) is None


def test_where_it_is_switched_off_there_is_none(local: Plugin, tmp_path: Path) -> None:
    local.config = write_config(local.config, f"file://{tmp_path}/disk", agent="off")
    hook(local, "setup_plugin_for_backup", "master")
    assert status(local.database) is None


def test_one_that_idles_leaves(database: Database) -> None:
    agent = Agent(database, idle=1)
    pid = agent.ask("status")["pid"]
    wait_until_gone(pid)
    assert "agent ended: no backup or restore needs it, and no command came for" in database.log()
    assert status(database) is None


@pytest.mark.parametrize("end", ["", CONTROL])
@pytest.mark.parametrize("how", ["removed", "another user's", "another agent's"])
def test_one_whose_socket_is_gone_leaves(database: Database, how: str, end: str) -> None:
    """Nobody could find it, and another one may be there instead, whose socket stays."""
    if how == "another user's" and os.geteuid() != 0:
        pytest.skip("only root can give files away")
    agent = Agent(database)
    pid = agent.ask("status")["pid"]
    path = database.folder / "home/.fsspec_gp_plugin/agent" / (wire.socket_name() + end)
    with socket.socket(socket.AF_UNIX) as other:
        if how == "removed":
            path.unlink()
        elif how == "another user's":
            os.chown(path, 65534, 65534)
        else:
            directory = wire.open_directory(agent.home)
            other.bind(wire.address(directory, "other"))
            os.rename("other", path.name, src_dir_fd=directory, dst_dir_fd=directory)
            os.close(directory)
        wait_until_gone(pid)
    assert "agent ended: its socket is gone" in database.log()
    assert path.exists() is (how != "removed")


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


def test_a_hook_with_another_environment_replaces_one_that_nobody_needs(installed: Plugin) -> None:
    database = installed.database
    first = Agent(database).ask("status")
    database.extra["AWS_EC2_METADATA_DISABLED"] = "true"
    hook(installed, "setup_plugin_for_backup", "master")
    found = status(database)
    assert found is not None
    assert found["pid"] != first["pid"]
    installed.run("backup_data", database.table(), stdin=b"rows").succeeded()
    found = status(database)
    assert found is not None
    assert found["served"] == 1


def test_a_hook_with_another_environment_leaves_one_alone_that_is_needed(installed: Plugin) -> None:
    database = installed.database
    hook(installed, "setup_plugin_for_backup", "master")
    first = status(database)
    database.extra["AWS_EC2_METADATA_DISABLED"] = "true"
    hook(installed, "setup_plugin_for_backup", "master", "20260102030406")
    assert first is not None
    found = status(database)
    assert found is not None
    assert (found["pid"], found["users"], found["ending"]) == (first["pid"], first["users"], "")
    assert installed.run("backup_data", database.table(), stdin=b"rows").succeeded().out == b""
    assert (status(database) or {})["served"] == 0
    del database.extra["AWS_EC2_METADATA_DISABLED"]


def test_after_a_kill_9_the_next_hook_starts_another(local: Plugin) -> None:
    database = local.database
    hook(local, "setup_plugin_for_backup", "master")
    first = status(database)
    assert first is not None
    os.kill(first["pid"], signal.SIGKILL)
    for worker in first["workers"]:
        wait_until_gone(worker)
    path = database.table()
    local.run("backup_data", path, stdin=b"rows").succeeded()
    hook(local, "setup_plugin_for_backup", "master")
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
            hook(plugin, "setup_plugin_for_backup", "master")
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
    hook(local, "setup_plugin_for_backup", "master")
    told = agent("status")
    assert told.returncode == 0
    assert "needed by: backup 20260102030405 coordinator" in told.stdout
    asked = json.loads(agent("status", "--json").stdout)
    assert (asked["runs"], asked["streams"], asked["users"]) == (True, 0, ["backup 20260102030405 coordinator"])
    stopped = agent("stop")
    assert stopped.returncode == 0
    assert "has ended" in stopped.stdout
    assert status(local.database) is None
    assert agent("--help").returncode == 0
    assert agent("dance").returncode == 2
    assert agent("dance").stderr.startswith("usage: fsspec_gp_plugin agent")


def test_files_of_installations_that_are_gone_are_removed(database: Database) -> None:
    directory = database.folder / "home/.fsspec_gp_plugin/agent"
    directory.mkdir(parents=True, mode=0o700)
    directory.parent.chmod(0o700)
    ends = ("", ".control", ".users", ".attempt", ".lock")
    for name in ("gone", "recent", "held"):
        for end in ends:
            path = directory / f"{name}{end}"
            path.touch()
            if name != "recent":
                os.utime(path, (0, 0))
    with open(directory / "held.lock", "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        Agent(database).stop()
    left = {path.name for path in directory.iterdir()}
    assert {name for name in left if name.startswith("gone")} == set()
    assert left >= {f"{name}{end}" for name in ("recent", "held") for end in ends}


def test_the_status_of_an_agent_that_counts_no_refusals_is_shown(local: Plugin) -> None:
    """One of the version before, which an update has left."""
    agent = Agent(local.database)
    answer = {name: value for name, value in agent.ask("status").items() if name not in ("refused", "ended_with")}
    agent.stop()
    directory = wire.open_directory(agent.home)
    with socket.socket(socket.AF_UNIX) as earlier:
        earlier.bind(wire.address(directory, wire.socket_name() + CONTROL))
        earlier.listen()
        earlier.settimeout(PATIENCE)
        pipe, environment = subprocess.PIPE, local.database.environment()
        command = [str(local.executable), "agent", "status"]
        with subprocess.Popen(command, env=environment, stdout=pipe) as process, earlier.accept()[0] as line:
            line.sendall(json.dumps(answer).encode() + b"\n")
            out = process.communicate(timeout=PATIENCE)[0]
    os.unlink(wire.socket_name() + CONTROL, dir_fd=directory)
    os.close(directory)
    assert (process.returncode, out.splitlines()[2]) == (0, b"commands: 0 running, 0 served")
