"""Which tests run: those of the targets that are wanted."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.protocol.caller import WITH_AGENT, Agent, stop_agents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest_plugins = ["tests.servers.fixtures"]

# Of the tests that have a target or a store, only those for these; else the usual ones.
TARGETS = set(filter(None, os.environ.get("GP_PLUGIN_TARGETS", "").split(",")))


def pytest_sessionstart() -> None:
    """What is called gets its signals, also where the tests themselves are run by nohup or in the background."""
    for signum, way in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, way)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for other targets or stores than those that are wanted."""
    wanted = [item for item in items if _is_wanted(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(wanted)])
    items[:] = wanted


def _is_wanted(item: pytest.Item) -> bool:
    if WITH_AGENT and item.get_closest_marker("own_process"):
        return False
    parameters: dict[str, object] = item.callspec.params if hasattr(item, "callspec") else {}
    if TARGETS and not set(parameters.get("kinds", ())) <= TARGETS:  # type: ignore[call-overload]
        return False
    kind = str(parameters.get("target") or parameters.get("store") or "").partition(" ")[0]
    if not kind:
        return True
    if TARGETS:
        return kind in TARGETS
    return "store" in parameters or kind in ("file", "s3") or item.get_closest_marker("every_target") is not None


@pytest.fixture(autouse=True)
def _agents_end(tmp_path: Path) -> Iterator[None]:
    """An agent that a test started ends with it, while it still has its home below `tmp_path`."""
    del tmp_path
    yield
    stop_agents()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tests that are to run with an agent, and find none, run all the same; this would hide it."""
    if WITH_AGENT and Agent.calls > 100 and Agent.served() < Agent.calls * 0.7:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many commands agents ran."""
    if WITH_AGENT:
        terminalreporter.write_line(f"agents ran {Agent.served()} of the {Agent.calls} commands that were for them")
