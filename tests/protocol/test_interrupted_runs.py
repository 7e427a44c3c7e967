"""Backups whose gpbackup was killed: known as such on the coordinator's host, and nothing of them is in the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.agent.conftest import opened, wait_until
from tests.cli.arranged import asked
from tests.protocol.conftest import PART

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target

LATER = "20260102030406"


@contextmanager
def gpbackup(plugin: Plugin, tmp_path: Path, size: int) -> Iterator[subprocess.Popen[bytes]]:
    """A shell under that name which has called the coordinator's hook and stores a stream that goes on."""
    program = tmp_path / "gpbackup"
    shutil.copy("/bin/bash", program)
    fifo = tmp_path / "stream"
    os.mkfifo(fifo)
    database = plugin.database
    call = f'"{plugin.executable}" {{}} "{plugin.config}"'
    script = "; ".join(
        [
            "set -e",
            f"{call.format('setup_plugin_for_backup')} {database.directory(-1)} master -1",
            f"{call.format('backup_data')} {database.table()} < {fifo} & echo $!",
            "read",
        ]
    )
    process = subprocess.Popen(
        [str(program), "-c", script],
        env=database.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    stream = -1
    try:
        plugin_pid = int(opened(process.stdout).readline())
        stream = os.open(fifo, os.O_WRONLY)
        data = os.urandom(size)
        while data:
            data = data[os.write(stream, data) :]
        yield process
        # As when its producer is killed in a way that leaves an upload behind.
        os.kill(plugin_pid, signal.SIGKILL)
    finally:
        process.kill()
        if stream >= 0:
            os.close(stream)
        process.communicate()


def states(plugin: Plugin) -> dict[str, str]:
    """What `list` calls each backup."""
    return {one["timestamp"]: one["state"] for one in asked(plugin, "list")["backups"]}


def test_one_whose_gpbackup_runs_is_incomplete_and_killed_it_is_interrupted(
    plugin: Plugin, target: Target, tmp_path: Path
) -> None:
    timestamp = plugin.database.timestamp
    with gpbackup(plugin, tmp_path, 2 * PART) as process:
        wait_until(target.unfinished_uploads if target.kind == "s3" else lambda: len(target.keys()) > 2)
        assert states(plugin) == {timestamp: "incomplete"}
        plugin.run("cleanup", "--run", timestamp, "--yes").failed("gpbackup is still making the backup")
        later(plugin)
        assert unfinished(target), "one that still runs keeps its uploads"
        process.kill()
        process.wait()
        assert states(plugin)[timestamp] == "interrupted"
        assert b"state: interrupted" in plugin.run("info", timestamp).succeeded().out
    assert unfinished(target)
    # What was begun within ten minutes may still be written to by a command that outlives gpbackup.
    [row] = leftovers(plugin, timestamp)
    assert (row["state"], row["action"]) == ("interrupted", "keep")
    later(plugin, "20260102030407")
    assert not unfinished(target)
    assert "called no cleanup hook" in plugin.database.log()
    assert states(plugin)[timestamp] == "interrupted", "objects stay until somebody removes them"
    before = plugin.database.log().count("called no cleanup hook")
    later(plugin, "20260102030408")
    assert plugin.database.log().count("called no cleanup hook") == before, "once is enough"
    plugin.run("cleanup", "--run", timestamp, "--yes").succeeded()
    assert timestamp not in states(plugin)
    state = plugin.database.folder / "home/.fsspec_gp_plugin"
    assert not [path for path in state.rglob(f"*{timestamp}*") if path.is_file()]


def unfinished(target: Target) -> list[str]:
    """Uploads and working files."""
    there = target.keys()
    return [key for key in there if key.startswith("unfinished ") or key.endswith(".part")]


def later(plugin: Plugin, timestamp: str = LATER) -> None:
    """The coordinator's hook of the next backup."""
    directory = plugin.database.directory(-1).replace(plugin.database.timestamp, timestamp)
    plugin.run("setup_plugin_for_backup", directory, "master", "-1").succeeded()


def leftovers(plugin: Plugin, timestamp: str) -> list[dict[str, Any]]:
    """What `cleanup` says of a backup."""
    return [one for one in asked(plugin, "cleanup")["leftovers"] if one["timestamp"] == timestamp]


def test_without_a_gpbackup_nothing_is_known(plugin: Plugin) -> None:
    """As on other hosts, to which commands come by ssh."""
    plugin.run("setup_plugin_for_backup", plugin.database.directory(-1), "master", "-1").succeeded()
    assert states(plugin) == {plugin.database.timestamp: "incomplete"}
