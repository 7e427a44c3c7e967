"""Whatever happens to either side: a client, a worker or the whole agent is killed, stopped or told to end."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.agent.conftest import (
    CLIENTS,
    PATIENCE,
    by,
    ended,
    is_gone,
    opened,
    require_compiled_client,
    served,
    state,
    status,
    streams,
    unread,
    wait_until,
    wait_until_handed_over,
    write_config,
)
from tests.protocol.conftest import PART
from tests.protocol.test_interruption import started_and_fed

if TYPE_CHECKING:
    from tests.protocol.agents import Agent
    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target


@pytest.mark.parametrize(("signum", "size"), [(signal.SIGKILL, 3 * PART), (signal.SIGTERM, 1000)])
def test_when_the_client_is_killed_its_stream_is_aborted(
    plugin: Plugin, target: Target, agent: Agent, size: int, signum: int
) -> None:
    process = started_and_fed(plugin, plugin.database.table(), size)
    if size > PART:
        target.wait_for_upload(process)
    wait_until_handed_over(agent, process)  # before, a signal ends the client alone
    process.send_signal(signum)
    status, err = ended(process)
    assert status == (-signum if signum == signal.SIGKILL else 128 + signum)
    assert signum == signal.SIGKILL or "interrupted by SIGTERM" in err
    wait_until(lambda: streams(agent) == 0)
    assert target.keys() == []


@pytest.mark.alone
def test_a_client_whose_worker_hangs_ends_within_two_seconds_of_a_signal(
    plugin: Plugin, target: Target, agent: Agent
) -> None:
    process = started_and_fed(plugin, plugin.database.table(), 1000)
    wait_until_handed_over(agent, process)
    workers = agent.ask("status")["workers"]
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM
        assert time.monotonic() - started < 2.5  # two seconds, and half a one for looking
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
    # The worker has had the pipe open, and may now say the same.
    assert set(ended(process)[1].splitlines()) == {"fsspec_gp_plugin: backup_data: interrupted by SIGTERM"}
    wait_until(lambda: streams(agent) == 0)
    assert target.keys() == []


def test_when_the_client_of_a_restore_is_killed_its_stream_ends(plugin: Plugin, agent: Agent) -> None:
    """Its reader sleeps, and the pipe stays full."""
    path = plugin.database.table()
    plugin.run("backup_data", path, stdin=os.urandom(4 * PART)).succeeded()
    process = plugin.start("restore_data", path)
    wait_until(lambda: unread(process.stdout))
    process.kill()
    wait_until(lambda: streams(agent) == 0)
    rest = opened(process.stdout).read()  # nobody holds the pipe any more
    assert len(rest) < 4 * PART
    ended(process)


def test_when_a_worker_is_killed_its_clients_say_so_and_nothing_becomes_visible(
    installed: Plugin, target: Target, agent: Agent
) -> None:
    plugin = installed
    path = plugin.database.table()
    process = started_and_fed(plugin, path, 3 * PART)
    target.wait_for_upload(process)
    before = agent.ask("status")
    for worker in before["workers"]:
        os.kill(worker, signal.SIGKILL)
    status, err = ended(process)
    assert status == 1
    assert err == "fsspec_gp_plugin: backup_data: the agent ended before the command did; run it again\n"
    # Others take their place; what is called meanwhile does its own work.
    plugin.run("restore_data", path).failed("no such object")
    wait_until(lambda: not set(agent.ask("status")["workers"]) & set(before["workers"]))
    now = served(agent)
    plugin.run("restore_data", path).failed("no such object")
    assert served(agent) == now + 1
    plugin.run("delete_backup", plugin.database.timestamp).succeeded()
    assert target.keys() == []


@pytest.mark.parametrize("which", CLIENTS)
def test_when_a_worker_is_killed_its_files_are_stored_all_the_same(local: Plugin, agent: Agent, which: str) -> None:
    """So slowly that the worker dies in the midst."""
    if which == "installed":
        require_compiled_client()
    database = local.database
    write_config(local.config, f"file://{database.folder}/disk", max_bandwidth="1MB")
    path = Path(database.file(f"gpbackup_{database.timestamp}_toc.yaml"))
    path.parent.mkdir(parents=True)
    path.write_bytes(os.urandom(2_000_000))
    process = by(local, which).start("backup_file", str(path))
    wait_until(lambda: streams(agent) == 1)
    for worker in agent.ask("status")["workers"]:
        os.kill(worker, signal.SIGKILL)
    assert ended(process) == (0, "")
    assert served(agent) == 0
    assert (database.folder / "disk" / database.key(str(path))).read_bytes() == path.read_bytes()


def test_when_the_agent_is_killed_its_streams_go_on(installed: Plugin, target: Target, agent: Agent) -> None:
    plugin = installed
    data = os.urandom(3 * PART)
    path = plugin.database.table()
    process = started_and_fed(plugin, path, 1000)
    wait_until_handed_over(agent, process)
    found = agent.ask("status")
    os.kill(found["pid"], signal.SIGKILL)
    wait_until(lambda: is_gone(found["pid"]))
    assert process.communicate(data, timeout=PATIENCE) == (b"", b"")
    assert process.returncode == 0
    assert target.keys() == [plugin.database.key(path)]
    wait_until(lambda: all(map(is_gone, found["workers"])))
    assert plugin.run("restore_data", path).succeeded().out[1000:] == data


def test_one_that_is_stopped_is_done_without(installed: Plugin, agent: Agent) -> None:
    plugin = installed
    path = plugin.database.table()
    plugin.run("backup_data", path, stdin=b"rows").succeeded()
    found = agent.ask("status")
    everybody = (found["pid"], *found["workers"])
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    try:
        # With a reader that waits for the end of the pipe: who is stopped must not have it open. The time is shorter
        # than that after which a client gives up whose command was taken.
        done = plugin.shell(f"{plugin.command('restore_data', path)} | cat", seconds=PATIENCE)
        assert done.succeeded().out == b"rows"
    finally:
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)
    assert plugin.run("restore_data", path).succeeded().out == b"rows"
    assert served(agent) == 2


def test_one_that_is_stopped_in_mid_stream_goes_on(installed: Plugin, agent: Agent) -> None:
    plugin = installed
    data = os.urandom(3 * PART)
    path = plugin.database.table()
    process = started_and_fed(plugin, path, 1000)
    wait_until_handed_over(agent, process)
    found = agent.ask("status")
    everybody = (found["pid"], *found["workers"])
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: all(state(pid) == "T" for pid in everybody))
    for pid in everybody:
        os.kill(pid, signal.SIGCONT)
    assert process.communicate(data, timeout=PATIENCE) == (b"", b"")
    assert process.returncode == 0


@pytest.mark.parametrize("how", ["stop", "TERM"])
def test_stopping_it_lets_streams_end(installed: Plugin, target: Target, agent: Agent, how: str) -> None:
    """TERM as systemd sends it: to each process."""
    plugin = installed
    data = os.urandom(2 * PART)
    path = plugin.database.table()
    process = started_and_fed(plugin, path, 1000)
    wait_until_handed_over(agent, process)
    if how == "stop":
        assert agent.ask("stop")["ending"] == "it was stopped"
    else:
        found = agent.ask("status")
        for pid in (found["pid"], *found["workers"]):
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: status(plugin.database) is None)
    plugin.run("backup_data", plugin.database.table(1), stdin=b"meanwhile").succeeded()
    assert process.communicate(data, timeout=PATIENCE) == (b"", b"")
    assert process.returncode == 0
    assert len(target.keys()) == 2
    reason = "it was stopped" if how == "stop" else "it got SIGTERM"
    wait_until(lambda: f"agent ended: {reason}, 1 commands served" in plugin.database.log())


def test_a_pause_of_the_compressor_is_no_end_of_the_stream(installed: Plugin, agent: Agent) -> None:
    """Nothing comes for a while, and then more: the agent waits as long."""
    path = installed.database.table(suffix=".gz")
    rows = os.urandom(1_000_000)
    process = installed.server(f"(head -c 1000; cat) | {installed.command('backup_data', path)}")
    opened(process.stdin).write(rows[:1000])
    opened(process.stdin).flush()
    wait_until(lambda: streams(agent) == 1)
    assert process.communicate(rows[1000:], timeout=PATIENCE) == (b"", b"")
    assert installed.run("restore_data", path).succeeded().out == rows
    assert served(agent) == 2
    assert process.returncode == 0
