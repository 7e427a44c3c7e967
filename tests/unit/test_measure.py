"""The benchmarks' own arithmetic: figures nobody checks are figures nobody can trust."""

from __future__ import annotations

import os
import sys
from functools import partial

import pytest

from benchmarks.measure import MIB, Comparison, Figures, Target, Task, Verdict, compare, measure

RUNS = {
    "ours": [Figures(1.0, 2.0, 10 * MIB), Figures(3.0, 2.0, 30 * MIB), Figures(2.0, 2.0, 20 * MIB)],
    "theirs": [Figures(2.0, 1.0, MIB), Figures(4.0, 1.0, MIB), Figures(2.0, 1.0, MIB)],
}


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sync", lambda: None)  # may take long on a busy machine, and nothing here is timed


def verdict(target: Target) -> Verdict:
    return Comparison("title", [target], RUNS).verdicts()[0]


def test_a_ratio_is_the_median_of_the_pairs() -> None:
    found = verdict(Target("wall", "ours", 0.75, "theirs"))
    assert (found.value, found.low, found.high) == (0.75, 0.5, 1.0)
    assert found.reached
    assert str(found).endswith("0.75 × (0.50 to 1.00) that of theirs; target at most 0.75 ×: reached")
    assert verdict(Target("cpu", "ours", 1.9, "theirs")).reached is False


def test_faster_turns_the_ratio_round() -> None:
    assert verdict(Target("wall", "ours", 1.3, "theirs", faster=True)).reached
    assert verdict(Target("wall", "ours", 1.4, "theirs", faster=True)).reached is False
    assert verdict(Target("wall", "ours", None, "theirs")).reached is None


def test_a_limit_of_memory_holds_for_every_run() -> None:
    assert verdict(Target("memory", "ours", 29 * MIB)).reached is False
    assert verdict(Target("memory", "ours", 30 * MIB)).reached


def test_the_figures_are_those_of_the_one_command() -> None:
    block = "import sys; held = b'x' * (64 << 20); sys.stdout.buffer.write(sys.stdin.buffer.read())"
    hog = [sys.executable, "-I", "-S", "-c", block]
    feeder = ["sh", "-c", "sleep 0.3; echo data"]
    ours = measure(Task("ours", hog, os.environ, feeder=feeder, drain=["grep", "-q", "^data$"]))
    assert ours.wall > 0.3
    assert 64 * MIB < ours.memory < 128 * MIB
    theirs = measure(Task("theirs", ["cat"], os.environ, feeder=feeder, drain=hog))
    assert theirs.memory < 32 * MIB


@pytest.mark.parametrize("place", ["feeder", "command", "drain"])
def test_a_failure_anywhere_is_told(place: str) -> None:
    parts = {"feeder": ["echo", "data"], "command": ["cat"], "drain": ["cat"]}
    parts[place] = ["sh", "-c", "cat; echo the reason >&2; exit 4"]
    with pytest.raises(RuntimeError, match=r"the reason(.|\n)*status 4"):
        measure(Task("failing", parts["command"], os.environ, feeder=parts["feeder"], drain=parts["drain"]))


def test_the_order_turns_round_and_the_first_round_only_checks() -> None:
    order: list[str] = []
    tasks = [
        Task(name, ["true"], os.environ, checker=["true"], prepare=partial(order.append, name)) for name in ("a", "b")
    ]
    done = compare("title", tasks, 2)
    assert order == ["a", "b", "a", "b", "b", "a"]
    assert {name: len(runs) for name, runs in done.runs.items()} == {"a": 2, "b": 2}
