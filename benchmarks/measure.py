"""Commands that take turns: wall, CPU and memory of each, medians, ratios pair by pair, verdicts on targets."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TIMED = Path(__file__).with_name("timed.py")
MIB = 1 << 20
_LABELS = {"wall": "wall time", "cpu": "CPU time", "memory": "peak memory"}


@dataclass(frozen=True)
class Task:
    """One of the commands that are compared.

    `feeder` writes to its standard input by a pipe, `drain` reads its output; both are inside the wall time only.
    `prepare` runs before each run and is not measured; `checker` takes the drain's place in a first run that isn't
    either, to see that the bytes are right. `counter` is read before and after.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    feeder: Sequence[str] = ()
    drain: Sequence[str] = ()
    checker: Sequence[str] = ()
    prepare: Callable[[], None] | None = None
    counter: Callable[[], int] | None = None


@dataclass(frozen=True)
class Figures:
    """One run: seconds of wall and CPU, peak bytes, requests if they were counted."""

    wall: float
    cpu: float
    memory: int
    requests: int | None = None


@dataclass(frozen=True)
class Target:
    """What a task shall reach: bytes or seconds at the most, a multiple of a peer's figure, or (`faster`) the reverse.

    Without a limit the ratio is only told.
    """

    metric: str
    task: str
    limit: float | None = None
    peer: str = ""
    faster: bool = False


@dataclass(frozen=True)
class Verdict:
    """A target beside what came out: the median of the ratios, and the least and the largest of them."""

    target: Target
    value: float
    low: float
    high: float

    def _shown(self, value: float) -> str:
        return f"{value / MIB:.0f} MiB" if self.target.metric == "memory" else f"{value:.2f} s"

    @property
    def reached(self) -> bool | None:
        if self.target.limit is None:
            return None
        return self.value >= self.target.limit if self.target.faster else self.value <= self.target.limit

    def __str__(self) -> str:
        target = self.target
        told, limit = f"{target.task}: {_LABELS[target.metric]}", target.limit
        if target.peer:
            told += f" {self.value:.2f} × ({self.low:.2f} to {self.high:.2f})"
            told += f" {'faster than' if target.faster else 'that of'} {target.peer}"
        else:
            told += f" {self._shown(self.value)}"
        if limit is None:
            return told
        wanted = f"{limit:.3g} ×" if target.peer else self._shown(limit)
        least = "at least" if target.faster else "at most"
        return f"{told}; target {least} {wanted}: {'reached' if self.reached else 'MISSED'}"


@dataclass
class Comparison:
    """All runs of the tasks of one table."""

    title: str
    targets: Sequence[Target] = ()
    runs: dict[str, list[Figures]] = field(default_factory=dict)

    def verdicts(self) -> list[Verdict]:
        return [self._verdict(target) for target in self.targets]

    def _verdict(self, target: Target) -> Verdict:
        ours = [getattr(run, target.metric) for run in self.runs[target.task]]
        if not target.peer:
            # A limit of memory holds for every run, one of time for the median.
            value = max(ours) if target.metric == "memory" else statistics.median(ours)
            return Verdict(target, value, min(ours), max(ours))
        theirs = [getattr(run, target.metric) for run in self.runs[target.peer]]
        pairs = zip(theirs, ours, strict=True) if target.faster else zip(ours, theirs, strict=True)
        ratios = [a / max(b, 1e-9) for a, b in pairs]
        return Verdict(target, statistics.median(ratios), min(ratios), max(ratios))

    def table(self) -> str:
        counted = any(run.requests is not None for runs in self.runs.values() for run in runs)
        lines = ["", self.title, f"{'':34} {'wall s':>8} {'CPU s':>8} {'peak MiB':>9}" + " requests" * counted]
        for name, runs in self.runs.items():
            wall, cpu = (statistics.median(getattr(run, metric) for run in runs) for metric in ("wall", "cpu"))
            line = f"{name:34} {wall:8.2f} {cpu:8.2f} {max(run.memory for run in runs) / MIB:9.0f}"
            if counted:
                line += f" {statistics.median(run.requests or 0 for run in runs):8.0f}"
            lines.append(line)
        return "\n".join(lines + [f"  {verdict}" for verdict in self.verdicts()])

    def document(self) -> dict[str, Any]:
        """Everything as JSON takes it."""
        return {
            "title": self.title,
            "runs": {name: [asdict(run) for run in runs] for name, runs in self.runs.items()},
            "verdicts": [{**asdict(verdict), "reached": verdict.reached} for verdict in self.verdicts()],
        }


def compare(
    title: str, tasks: Sequence[Task], runs: int, targets: Sequence[Target] = (), *, warm: bool = True
) -> Comparison:
    """Run the tasks in turn, so that all see the same machine; the order turns round each time.

    With `warm` a first round fills the caches, checks the bytes and does not count.
    """
    result = Comparison(f"{title}, {runs} {'run' if runs == 1 else 'runs in turn'}", targets)
    result.runs = {task.name: [] for task in tasks}
    for task in tasks if warm else ():
        measure(task, check=True)
    for number in range(runs):
        for task in tasks if number % 2 == 0 else reversed(tasks):
            result.runs[task.name].append(measure(task))
    return result


def measure(task: Task, *, check: bool = False) -> Figures:
    """One run of a task."""
    if task.prepare is not None:
        task.prepare()
    os.sync()  # nobody pays for what the one before left to be written
    before = task.counter() if task.counter else 0
    drain = (task.checker or task.drain) if check else task.drain
    pipeline = [list(part) for part in (task.feeder, task.command, drain) if part]
    words = [word for part in pipeline for word in ("|", *part)][1:]
    which = "1" if task.feeder else "0"
    out = _run([sys.executable, "-I", "-S", str(TIMED), which, *words], task.environment)
    wall, cpu, memory = out.split()
    return Figures(float(wall), float(cpu), int(memory), task.counter() - before if task.counter else None)


def _run(command: list[str], environment: Mapping[str, str]) -> str:
    # A session of its own, so that nothing of a pipeline is left behind when somebody presses Ctrl-C.
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    try:
        out, complaints = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        raise RuntimeError(complaints.strip() or f"{command} ended with status {process.returncode}")
    return out
