"""What one command of a host finds out about the store spares the others their waiting."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.conftest import BIG
from tests.faults.impatient import impatient_executable
from tests.protocol.agents import Agent
from tests.protocol.caller import Plugin
from tests.servers.faults import Answer, Request

if TYPE_CHECKING:
    from tests.faults.conftest import Scene

OUTAGE, AFTER, ERROR = 3, 1, 2
WHY = f"not longer, because an earlier command of this host has waited {OUTAGE} s for this target in vain"
GIVEN_UP = f"HTTP status 500; other objects of this backup can be read, so this one is given up after {ERROR} s"
INTERNAL_ERROR = "<Error><Code>InternalError</Code><Message>Please try again.</Message></Error>"


def impatient(scene: Scene, *, by_agent: bool, **seconds: float) -> Plugin:
    """The plugin of a scene with shorter waits: in its own processes, or in an agent that the installed one asks."""
    executable = impatient_executable(scene.plugin.database.folder, **seconds)
    if by_agent:
        scene.configure(agent="on")
        Agent(scene.plugin.database, "s3", executable=executable)
        return scene.plugin
    return Plugin(scene.plugin.database, scene.plugin.config, executable)


def remembered(plugin: Plugin, name: str) -> list[Path]:
    """The notes of a host in one of its directories."""
    return sorted((plugin.database.folder / "home/.fsspec_gp_plugin" / name).glob("*"))


@pytest.mark.parametrize("by_agent", [False, True])
def test_a_store_that_is_gone_costs_a_host_one_long_wait(scene: Scene, by_agent: bool) -> None:
    plugin = impatient(scene, by_agent=by_agent, outage=OUTAGE, after=AFTER)
    database = plugin.database
    report = Path(database.file(f"gpbackup_{database.timestamp}_report", -1))
    report.parent.mkdir(parents=True)
    report.write_text("report")
    scene.proxy.refuse()
    first = plugin.run("backup_data", database.table(), stdin=b"rows", seconds=20).failed(
        "can't connect", "tried", status=3
    )
    assert "not longer" not in first.err
    assert len(remembered(plugin, "outages")) == 1
    plugin.run("backup_file", str(report)).failed("tried", WHY, status=3)
    plugin.run("restore_data", database.table()).failed("tried", WHY, status=3)
    scene.proxy.accept()
    plugin.run("setup_plugin_for_backup", database.directory(-1), "master").succeeded()
    assert remembered(plugin, "outages") == []
    scene.proxy.refuse()
    assert "not longer" not in plugin.run("backup_data", database.table(2), stdin=b"rows").failed("tried").err
    if by_agent:
        assert Agent.running[0].ask("status")["served"] >= 4


@pytest.mark.parametrize("where", ["at its beginning", "in its midst"])
@pytest.mark.parametrize("by_agent", [False, True])
def test_an_object_that_fails_while_others_can_be_read_is_given_up(scene: Scene, by_agent: bool, where: str) -> None:
    plugin = impatient(scene, by_agent=by_agent, error=ERROR)
    bad, good = plugin.database.table(1), plugin.database.table(2)
    scene.put(bad, bytes(BIG))
    scene.put(good, b"rows")
    key = plugin.database.key(bad)

    def fails(request: Request) -> bool:
        is_first = (request.range or "bytes=0-").startswith("bytes=0-")
        return key in request.path and request.method == "GET" and (where == "at its beginning" or not is_first)

    scene.proxy.faults.append(Answer(fails, status=500, body=INTERNAL_ERROR, times=None))
    with ThreadPoolExecutor(1) as pool:
        failing = pool.submit(plugin.run, "restore_data", bad, seconds=50)
        while not failing.done():
            assert plugin.run("restore_data", good).succeeded().out == b"rows"
            time.sleep(0.2)  # the processor is for others, too
    failing.result().failed(key, "tried", GIVEN_UP, status=3)
    assert remembered(plugin, "failing_reads") == []
