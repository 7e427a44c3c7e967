"""Which tests run, with or without an agent, and on which worker."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.protocol.agents import Agent, stop_agents
from tests.protocol.caller import close_pipes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest_plugins = ["tests.servers.fixtures", "tests.runs"]

# Tests that have a target or a store run for these only; without the variable, for the usual ones.
TARGETS = set(filter(None, os.environ.get("GP_PLUGIN_TARGETS", "").split(",")))

# Fixtures of a whole run that take seconds to make: one worker runs all tests that need one of them.
_ONE_WORKER = {"gcs", "gcs_in_parts", "azure", "sftp", "hdfs", "smb", "ftp", "webdav", "postgres"}
_ONE_WORKER |= {"minio_tls", "azure_tls", "ftp_tls", "bundle", "installations", "waits"}


# Ages of backups are computed from local times: no test may run while clocks are put back.
os.environ["TZ"] = "UTC"
time.tzset()


def pytest_sessionstart() -> None:
    """Let the plugin's processes receive signals, also where the tests were started by nohup or in the background."""
    for signum, way in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, way)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that is marked so with an agent on each host, beside or instead of the run without one."""
    markers = ("with_agent", "agent_unless_disk")
    if any(metafunc.definition.get_closest_marker(name) for name in markers):
        metafunc.parametrize("_agents", [False, True], ids=["plain", "agent"], indirect=True)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out other targets and stores than those that are wanted, and put tests of one server on one worker."""
    wanted = [item for item in items if _is_wanted(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(wanted)])
    items[:] = wanted
    for item in items:
        needed = {_kind(item), *_parameters(item).get("kinds", ()), *getattr(item, "fixturenames", ())}
        if shared := sorted(needed & _ONE_WORKER):
            item.add_marker(pytest.mark.xdist_group(shared[0].partition("_")[0]))


def _parameters(item: pytest.Item) -> dict[str, Any]:
    return item.callspec.params if hasattr(item, "callspec") else {}


def _kind(item: pytest.Item) -> str:
    """The target or store of a test, such as "s3", or ""."""
    parameters = _parameters(item)
    kind = parameters.get("target") or parameters.get("store") or parameters.get("behind") or ""
    return str(kind).partition(" ")[0]


def _is_wanted(item: pytest.Item) -> bool:
    parameters = _parameters(item)
    if "_agents" in parameters and not _may_have(item, agent=parameters["_agents"]):
        return False
    if TARGETS and not set(parameters.get("kinds", ())) <= TARGETS:
        return False
    if TARGETS and "s3" not in TARGETS and "minio" in getattr(item, "fixturenames", ()):
        return False
    kind = _kind(item)
    if not kind or "behind" in parameters:
        return True
    if TARGETS:
        return kind in TARGETS
    return "store" in parameters or kind in ("file", "s3") or item.get_closest_marker("every_target") is not None


def _may_have(item: pytest.Item, *, agent: bool) -> bool:
    """Whether a test with such a marker runs so: with an agent, or without."""
    kind = _kind(item)
    if item.get_closest_marker("agent_unless_disk"):
        return agent == (kind != "file")
    if not agent:
        return True
    marker = item.get_closest_marker("with_agent")
    values = marker.args[0] if marker and marker.args else None
    if values is not None and not values & {str(value) for value in _parameters(item).values()}:
        return False
    return kind in ("", "file", "s3")  # the other stores are the same ones behind an agent


@pytest.fixture(autouse=True)
def _agents(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """Agents that a test started end with it, while they still have their home below `tmp_path`."""
    del tmp_path
    Agent.wanted = getattr(request, "param", False)
    Agent.calls = 0
    Agent.seen.clear()
    yield
    close_pipes()
    stop_agents()
    if Agent.wanted:
        # One call may be a line of many commands.
        served = min(Agent.calls, Agent.served())
        request.node.user_properties += [("called", float(Agent.calls)), ("served", float(served))]
    Agent.wanted = False
