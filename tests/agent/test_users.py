"""The agent stays for as long as a backup or restore needs it, and one that died comes back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.agent import wire
from fsspec_gp_plugin.agent.registry import SUFFIX
from tests.agent.conftest import hook, opened, status, wait_until, wait_until_gone, write_config
from tests.protocol.agents import Agent, ask_agent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.protocol.caller import Database, Plugin

pytestmark = pytest.mark.usefixtures("stopped")


@pytest.fixture
def brief(local: Plugin, tmp_path: Path) -> Plugin:
    """Whose agent leaves soon when nobody needs it."""
    local.config = write_config(local.config, f"file://{tmp_path}/disk", agent_idle="1s")
    return local


def running(database: Database) -> dict[str, Any]:
    """What the agent says of itself."""
    found = status(database)
    assert found is not None
    return found


def users_file(database: Database) -> Path:
    """Where the agent keeps its users."""
    return database.folder / "home/.fsspec_gp_plugin/agent" / (wire.socket_name() + SUFFIX)


def kill(database: Database) -> dict[str, Any]:
    """End all of the agent's processes at once, as when memory runs out."""
    found = running(database)
    for pid in (found["pid"], *found["workers"]):
        os.kill(pid, signal.SIGKILL)
    for pid in (found["pid"], *found["workers"]):
        wait_until_gone(pid)
    return found


def test_minutes_without_a_command_end_nothing_while_a_backup_is_registered(brief: Plugin) -> None:
    hook(brief, "setup_plugin_for_backup", "master")
    found = running(brief.database)
    time.sleep(3)  # three times as long as it may idle
    assert running(brief.database)["pid"] == found["pid"]
    hook(brief, "cleanup_plugin_for_backup", "master")
    wait_until_gone(found["pid"])
    assert not users_file(brief.database).exists()


def test_a_backup_without_a_sign_of_life_for_a_day_is_forgotten(brief: Plugin) -> None:
    hook(brief, "setup_plugin_for_backup", "master")
    found = kill(brief.database)
    path = users_file(brief.database)
    told = json.loads(path.read_text())
    [user] = told.values()
    user["sign"] -= 86400 - 3
    path.write_text(json.dumps(told))
    agent = Agent(brief.database, idle=1)
    assert agent.ask("status")["users"] == found["users"]
    wait_until_gone(agent.ask("status")["pid"])
    assert "was quiet for a day: backup 20260102030405 coordinator" in brief.database.log()


def test_a_command_of_the_backup_is_a_sign_of_life(local: Plugin) -> None:
    hook(local, "setup_plugin_for_backup", "master")
    time.sleep(2)
    local.run("backup_data", local.database.table(), stdin=b"rows").succeeded()
    # Of another backup.
    other = local.database.table().replace(local.database.timestamp, "20260102030406")
    local.run("backup_data", other, stdin=b"rows").succeeded()
    wait_until(
        lambda: running(local.database)["signs"][0]["last_sign"] < running(local.database)["signs"][0]["registered"]
    )


def test_a_backup_whose_gpbackup_was_killed_is_forgotten(brief: Plugin, tmp_path: Path) -> None:
    gpbackup = tmp_path / "gpbackup"
    shutil.copy("/bin/bash", gpbackup)
    directory = brief.database.directory(-1)
    script = f'"{brief.executable}" setup_plugin_for_backup "{brief.config}" {directory} master -1 && echo done && read'
    with subprocess.Popen(
        [str(gpbackup), "-c", script],
        env=brief.database.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert opened(process.stdout).readline() == b"done\n"
        found = running(brief.database)
        assert found["users"] == ["backup 20260102030405 coordinator"]
        process.kill()
    wait_until_gone(found["pid"])


def test_of_many_setups_at_once_all_are_registered(local: Plugin) -> None:
    stamps = [f"202601020304{number:02}" for number in range(8)]
    with ThreadPoolExecutor(len(stamps)) as pool:
        list(pool.map(lambda stamp: hook(local, "setup_plugin_for_backup", "master", stamp), stamps))
    assert running(local.database)["users"] == [f"backup {stamp} coordinator" for stamp in stamps]


def test_two_restores_of_one_backup_both_keep_it(local: Plugin) -> None:
    database = local.database
    for name in ("toc.yaml", "report"):
        path = database.file(f"gpbackup_{database.timestamp}_{name}")
        local.run("backup_data", path, stdin=b"of a backup").succeeded()
    for _ in range(2):
        hook(local, "setup_plugin_for_restore", "master")
    hook(local, "cleanup_plugin_for_restore", "master")
    assert running(database)["users"] == ["restore 20260102030405 coordinator"]
    hook(local, "cleanup_plugin_for_restore", "master")
    assert running(database)["users"] == []


def test_a_data_command_starts_another_for_one_that_died(local: Plugin) -> None:
    database = local.database
    hook(local, "setup_plugin_for_backup", "master")
    first = kill(database)
    local.run("backup_data", database.table(), stdin=b"rows").succeeded()
    wait_until(lambda: status(database) is not None)
    found = running(database)
    assert found["stand_in"]
    assert found["users"] == first["users"]
    assert local.run("restore_data", database.table()).succeeded().out == b"rows"
    assert running(database)["served"] == 1
    told = subprocess.run(
        [str(local.executable), "agent", "status"], env=database.environment(), capture_output=True, check=True
    )
    assert b"started by a data command" in told.stdout
    assert b"nice value" in told.stdout
    # The hooks run by themselves, and end it.
    hook(local, "cleanup_plugin_for_backup", "master")
    assert running(database)["served"] == 1
    assert running(database)["users"] == []


def test_the_next_setup_hook_replaces_a_stand_in(local: Plugin) -> None:
    database = local.database
    hook(local, "setup_plugin_for_backup", "master")
    kill(database)
    local.run("backup_data", database.table(), stdin=b"rows").succeeded()
    wait_until(lambda: status(database) is not None)
    stand_in = running(database)
    hook(local, "setup_plugin_for_backup", "segment_host")
    wait_until_gone(stand_in["pid"])
    found = running(database)
    assert not found["stand_in"]
    assert found["users"] == ["backup 20260102030405 coordinator", "backup 20260102030405 segment_host"]


def test_a_cleanup_hook_replaces_a_stand_in_that_others_need(local: Plugin) -> None:
    database = local.database
    hook(local, "setup_plugin_for_backup", "master")
    hook(local, "setup_plugin_for_backup", "master", "20260102030406")
    kill(database)
    local.run("backup_data", database.table(), stdin=b"rows").succeeded()
    wait_until(lambda: status(database) is not None)
    hook(local, "cleanup_plugin_for_backup", "master")
    found = running(database)
    assert not found["stand_in"]
    assert found["users"] == ["backup 20260102030406 coordinator"]


def test_after_it_was_stopped_no_command_starts_another(local: Plugin) -> None:
    hook(local, "setup_plugin_for_backup", "master")
    pid = running(local.database)["pid"]
    ask_agent(str(local.database.folder / "home"), "stop")
    wait_until_gone(pid)
    local.run("backup_data", local.database.table(), stdin=b"rows").succeeded()
    assert status(local.database) is None
    assert not list(users_file(local.database).parent.glob("*.attempt"))


def test_cleanup_of_a_run_releases_it(local: Plugin) -> None:
    hook(local, "setup_plugin_for_backup", "master")
    hook(local, "setup_plugin_for_backup", "master", "20260102030406")
    local.run("cleanup", "--run", "20260102030406").succeeded()
    assert len(running(local.database)["users"]) == 2, "nothing was removed"
    local.run("cleanup", "--run", "20260102030406", "--yes").succeeded()
    assert running(local.database)["users"] == ["backup 20260102030405 coordinator"]


def test_there_is_one_attempt_in_ten_seconds(local: Plugin) -> None:
    """As where the process is killed each time: not every table of thousands may pay for it."""
    database = local.database
    hook(local, "setup_plugin_for_backup", "master")
    kill(database)
    local.run("backup_data", database.table(), stdin=b"rows").succeeded()
    wait_until(lambda: status(database) is not None)
    kill(database)
    [attempt] = users_file(database).parent.glob("*.attempt")
    when = time.time()
    os.utime(attempt, (when, when))
    local.run("backup_data", database.table(), stdin=b"rows").succeeded()
    assert attempt.stat().st_mtime == when, "nobody has tried"
    os.utime(attempt, (when - 11, when - 11))
    local.run("backup_data", database.table(), stdin=b"rows").succeeded()
    assert attempt.stat().st_mtime > when - 11
    wait_until(lambda: status(database) is not None)


@pytest.fixture
def inherited(tmp_path: Path) -> Iterator[int]:
    """A descriptor as of the server's data files."""
    fd = os.open(tmp_path / "16384", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(fd, True)
    yield fd
    os.close(fd)


def test_a_stand_in_keeps_nothing_of_the_databases_server(local: Plugin, inherited: int, tmp_path: Path) -> None:
    database = local.database
    hook(local, "setup_plugin_for_backup", "master")
    kill(database)
    data = tmp_path / "gpseg0"
    data.mkdir()

    def be_the_server() -> None:
        os.umask(0o027)
        for ignored in (signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)

    words = [str(local.executable), "backup_data", str(local.config), database.table()]
    subprocess.run(
        words,
        env=database.environment(),
        input=b"rows",
        cwd=data,
        pass_fds=[inherited],
        preexec_fn=be_the_server,
        check=True,
    )
    wait_until(lambda: status(database) is not None)
    found = running(database)
    for pid in (found["pid"], *found["workers"]):
        process = Path(f"/proc/{pid}")
        assert os.readlink(process / "cwd") == "/"
        kept = [os.readlink(fd) for fd in (process / "fd").iterdir()]
        assert not [name for name in kept if "16384" in name or (name.startswith("pipe:") and name in _own_pipes())]
        told = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
        assert told["Umask"] == "0077"
        ignored = int(told["SigIgn"], 16)
        assert not [s for s in (1, 2, 10, 12, 15, 21, 22) if ignored >> (s - 1) & 1]
        assert int(told["SigBlk"], 16) == 0
        fields = (process / "stat").read_text().rpartition(") ")[2].split()
        assert int(fields[3]) not in (os.getsid(0), os.getpid()), "it has a session of its own"
    parent = int(Path(f"/proc/{found['pid']}/stat").read_text().rpartition(") ")[2].split()[1])
    assert parent != os.getpid()


def _own_pipes() -> set[str]:
    """The pipes of this process, which the data command had from it."""
    return {name for fd in os.listdir("/proc/self/fd") if (name := _link(fd)).startswith("pipe:")}


def _link(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
