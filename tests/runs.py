"""What is said of a whole run: which tests had to be repeated, how many commands agents ran, and what it cost.

With pytest-xdist the tests run in workers, and only the controller writes: a worker's numbers reach it in its reports.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from tests.servers.fixtures import REQUIRED

if TYPE_CHECKING:
    from collections.abc import Generator

# Only tests that count seconds may be repeated, as a busy machine may be the reason. More than these fail the run.
_MOST_REPEATED = 3
# How a reason begins when a table in the tests, and nothing that is missing here, decides that a test is skipped.
_BY_TABLE = "does not apply: "
# Of the commands that agents can run. Not those of tests whose caller has closed a descriptor, for example.
_LEAST_SERVED = 0.9

_repeated: list[str] = []
_skipped: list[str] = []
# CPU seconds by the name of a test file, and the commands of agents.
_totals: defaultdict[str, float] = defaultdict(float)
_CPU = "CPU seconds: "
_clock = {"last": 0.0, "is_last": False}


def _cpu_seconds() -> float:
    """CPU seconds of this process and of all of its children that have ended."""
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--costs`."""
    parser.addoption(
        "--costs",
        action="store_true",
        help="say how many CPU seconds each folder of tests took, and the files that took most",
    )


def pytest_configure() -> None:
    """Start the clock."""
    _clock["last"] = _cpu_seconds()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Repeat a test that counts seconds once, and no other test."""
    for item in items:
        if item.get_closest_marker("alone"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Note which test is the last one: the servers end with it."""
    _clock["is_last"] = nextitem is None
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the CPU seconds of each phase into its report."""
    report = yield
    now = _cpu_seconds()
    at_end = call.when == "teardown" and _clock["is_last"]
    name = "servers" if at_end else item.nodeid.partition("::")[0]
    report.user_properties.append((_CPU + name, now - _clock["last"]))
    _clock["last"] = now
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up what a report says."""
    for name, value in report.user_properties:
        if isinstance(value, float):
            _totals[name] += value
    if str(report.outcome) == "rerun":  # by pytest-rerunfailures
        _repeated.append(report.nodeid)
    elif report.skipped and isinstance(report.longrepr, tuple) and _BY_TABLE not in report.longrepr[2]:
        _skipped.append(f"{report.nodeid}: {report.longrepr[2]}")


def _faults() -> list[str]:
    """What is wrong with the run although each of its tests passed."""
    found = []
    if len(_repeated) > _MOST_REPEATED:
        found.append(f"{len(_repeated)} tests had to be repeated; at most {_MOST_REPEATED} may")
    if _totals["called"] > 50 and _totals["served"] < _totals["called"] * _LEAST_SERVED:
        found.append("agents ran too few of the commands that were for them")
    if "all" in REQUIRED:
        found += [f"a test was skipped where everything is required: {name}" for name in _skipped]
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that would hide something."""
    if _faults() and session.exitstatus == 0:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the run cost, and name the tests that were repeated and what is wrong, at the very end."""
    say = terminalreporter.write_line
    seconds = {name.removeprefix(_CPU): value for name, value in _totals.items() if name.startswith(_CPU)}
    if terminalreporter.config.getoption("--costs"):
        folders: defaultdict[str, float] = defaultdict(float)
        for name, value in seconds.items():
            folders["/".join(name.split("/")[:2])] += value
        for costs, most in ((folders, len(folders)), (seconds, 20)):
            for name, value in sorted(costs.items(), key=lambda item: -item[1])[:most]:
                say(f"{value:8.1f} CPU s  {name}")
    say(f"{sum(seconds.values()):.0f} CPU seconds")
    if _totals["called"]:
        say(f"agents ran {_totals['served']:.0f} of the {_totals['called']:.0f} commands that were for them")
    for nodeid in _repeated:
        say(f"repeated, as it failed at first: {nodeid}")
    for fault in _faults():
        say(f"THE RUN FAILS: {fault}")
