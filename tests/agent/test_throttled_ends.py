"""A stream with a bandwidth ends at once, though it would take minutes: with its client, and with one line."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.agent.conftest import ended, opened, served, streams, unread, wait_until, write_config
from tests.protocol.agents import Agent

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

# At this rate it takes five minutes.
SIZE = 3 << 20
RATE = "10KB"


@pytest.fixture(params=["disk", "s3"])
def throttled(request: pytest.FixtureRequest, installed: Plugin, target: Target, tmp_path: Path) -> Plugin:
    """A plugin on disk or on S3, with a bandwidth."""
    (tmp_path / "disk").mkdir()
    url, options = (target.url, target.options) if request.param == "s3" else (f"file://{tmp_path}/disk", {})
    write_config(installed.config, url, options)
    installed.run("backup_data", installed.database.table(), stdin=os.urandom(SIZE)).succeeded()
    write_config(installed.config, url, options, max_bandwidth=RATE)
    return installed


@pytest.fixture(params=["by the agent", "alone"])
def agent(request: pytest.FixtureRequest, throttled: Plugin) -> Agent | None:
    return Agent(throttled.database) if request.param == "by the agent" else None


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["restore_data", "backup_data"])
def test_it_ends_long_before_its_time(throttled: Plugin, agent: Agent | None, command: str, signum: int) -> None:
    process = begun(throttled, command)
    process.send_signal(signum)
    status, err, rest = ended_with_output(process, command)
    assert status == (-signum if signum == signal.SIGKILL else 128 + signum)
    assert err.count("\n") == 1 or (signum == signal.SIGKILL and not err)
    assert rest < SIZE // 2
    if agent is not None:
        wait_until(lambda: streams(agent) == 0)
        assert served(agent) == 1


def begun(plugin: Plugin, command: str) -> subprocess.Popen[bytes]:
    """A stream some bytes of which have passed."""
    process = plugin.start(command, plugin.database.table(16385 if command == "backup_data" else 16384))
    if command == "restore_data":
        assert opened(process.stdout).read(100)
        return process
    feed = bytes(60_000)  # less than the pipe holds
    assert os.write(opened(process.stdin).fileno(), feed) == len(feed)
    wait_until(lambda: unread(process.stdin) < len(feed))
    return process


def ended_with_output(process: subprocess.Popen[bytes], command: str) -> tuple[int, str, int]:
    """Status, standard error, and how many bytes are still in the output when nobody holds it any more."""
    rest = len(opened(process.stdout).read()) if command == "restore_data" else 0
    return *ended(process), rest
