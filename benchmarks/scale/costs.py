"""Runs commands of one host and says what they cost: requests, bytes, CPU seconds, peak memory, wall seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.request import Request, urlopen

from benchmarks.crowd import cpu_of
from benchmarks.measure import TIMED
from benchmarks.scale.server import BUCKET
from tests.protocol.agents import EXECUTABLE, ask_agent
from tests.protocol.caller import Database, write_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.scale.rule import Shape

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ("env", "-i")


@dataclass
class Cost:
    """What one step cost. `memory`: the peak of its largest process, in bytes; `sent`: bytes that the store has sent;
    `refused`: how many requests got status 503; `failed`: why the step did not come to its end.
    """

    name: str
    wall: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    sent: int = 0
    refused: int = 0
    requests: dict[str, int] = field(default_factory=dict)
    failed: str = ""

    @property
    def count(self) -> int:
        """All requests."""
        return sum(self.requests.values())


class Counters(Protocol):
    """A server that counts its requests."""

    def reset(self) -> None:
        """Count from zero."""

    def read(self) -> tuple[dict[str, int], int, int]:
        """The requests by kind, the bytes sent, and how many were refused."""


class MadeUp(Counters):
    """The make-believe S3, in a process of its own."""

    def __init__(self, port: int, refuse: float) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self._refuse = refuse

    def reset(self) -> None:
        self.ask(f"reset?refuse={self._refuse}")

    def read(self) -> tuple[dict[str, int], int, int]:
        counts = self.ask("counts")
        return counts["requests"], counts["sent"], counts["refused"]

    def ask(self, what: str) -> dict[str, Any]:
        """Its answer to the driver."""
        with urlopen(Request(f"{self.endpoint}/-/{what}", method="POST"), timeout=600) as answer:  # noqa: S310
            told: dict[str, Any] = json.load(answer)
        return told


@contextmanager
def serving(shape: Shape, refuse: float) -> Iterator[MadeUp]:
    """The make-believe S3 of that shape."""
    options = [word for name, value in asdict(shape).items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "benchmarks.scale.server", *options, "--refuse", str(refuse)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline().strip() if process.stdout else ""
            if not line.isdecimal():
                raise RuntimeError(f"the server told {line!r} instead of its port")
            yield MadeUp(int(line), refuse)
        finally:
            process.terminate()


class Host:
    """One host with a fresh state, and the commands that gpbackup or a person calls there."""

    def __init__(self, folder: Path, url: str, options: dict[str, Any], *, agent: bool) -> None:
        folder.mkdir(mode=0o700)
        self.database = Database(folder)
        self._home = str(folder / "home")
        self.state = f"{self._home}/.fsspec_gp_plugin"
        self.url = url
        told = {"agent": "on" if agent else "off", "cluster": "benchmark"}
        self.config = write_config(folder / "plugin.yaml", url, options, **told)
        self.has_agent = agent

    @classmethod
    def of(cls, folder: Path, server: MadeUp, *, agent: bool) -> Host:
        """One that uses the make-believe S3."""
        return cls(folder, f"s3://{BUCKET}", {"endpoint_url": server.endpoint, "key": "k", "secret": "s"}, agent=agent)

    def command(self, *words: str) -> list[str]:
        """A command line as gpbackup makes it."""
        environment = [f"{name}={value}" for name, value in self.database.environment().items()]
        line = " ".join([str(EXECUTABLE), words[0], str(self.config), *words[1:]])
        return [*ENVIRONMENT, *environment, "bash", "-c", line]

    def directory(self, content: int, timestamp: str) -> str:
        """The backup directory of a segment, or of the coordinator."""
        return f"{self.database.folder}/gpseg{content}/backups/{timestamp[:8]}/{timestamp}"

    def agent_used(self) -> tuple[float, int]:
        if not self.has_agent:
            return 0.0, 0
        try:
            return used_by(ask_agent(self._home, "status"))
        except (OSError, ValueError):
            return 0.0, 0

    def close(self) -> None:
        """End its agent."""
        if self.has_agent:
            with suppress(OSError, ValueError):
                ask_agent(self._home, "stop")


class Measured(Protocol):
    """A host of which commands are measured."""

    @property
    def database(self) -> Database:
        """Its directories and environment."""
        ...

    def agent_used(self) -> tuple[float, int]:
        """CPU seconds and peak bytes of its agent until now; zero without one."""
        ...


def used_by(told: dict[str, Any]) -> tuple[float, int]:
    """CPU seconds and peak bytes of the processes of an agent with that status."""
    pids = [str(pid) for pid in (told["pid"], *told["workers"])]
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return cpu_of(pids), max(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def measure(
    name: str,
    counters: Counters,
    host: Measured,
    commands: Sequence[Sequence[str]],
    limit: float = 600.0,
    output: str = "",
) -> Cost:
    """Run commands of one host at once. `output`: a file for the output of the last one."""
    counters.reset()
    cpu_before, _ = host.agent_used()
    started = time.monotonic()
    running = []
    for command in commands:
        drain = ["|", "tee", output] if output and command is commands[-1] else []
        running.append(
            subprocess.Popen(
                [sys.executable, "-I", "-S", str(TIMED), "0", *command, *drain],
                cwd=host.database.folder / "home",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                text=True,
            )
        )
    cost = Cost(name)
    for process in running:
        try:
            out, complaints = process.communicate(timeout=max(limit - (time.monotonic() - started), 0.1))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            cost.failed = f"ended after {limit:.0f} s"
            continue
        if process.returncode:
            cost.failed = cost.failed or complaints.strip().splitlines()[0][:300]
            continue
        _, cpu, memory = out.split()
        cost.cpu += float(cpu)
        cost.memory = max(cost.memory, int(memory))
    cost.wall = time.monotonic() - started
    cpu_after, peak = host.agent_used()
    cost.cpu += max(cpu_after - cpu_before, 0.0)
    cost.memory = max(cost.memory, peak)
    cost.requests, cost.sent, cost.refused = counters.read()
    return cost
