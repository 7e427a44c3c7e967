"""A long run: 160,000 tables of 1 kB of one backup on one host with the agent, and their restore, a process for each.

    scripts/install test && benchmarks/install
    .venv/bin/python -m benchmarks.long_run [--calls 160000] [--at-once 8] [--folder DIR]

The tables are those of eight segments, on MinIO, which needs 2 GB of disk for 160,000. A line for every 10,000 calls
tells what a call costs, and what the agent's processes have open and in memory. CPU is that of clients and agent.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bench import Bench, Report, Skipped
from benchmarks.crowd import cpu_of
from benchmarks.measure import MIB, Task, measure
from benchmarks.tables import CROWD
from benchmarks.whole_run import Program, Run, Shape
from tests.protocol.agents import EXECUTABLE, ask_agent
from tests.protocol.caller import Database

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.servers.minio import Minio

SEGMENTS = 8
FIRST, ROW = 1_000, 10_000
TIMESTAMP = "20260102030405"
HEAD = (
    f"{'calls':>8} {'CPU ms':>7} {'wall ms':>8} {'journal MiB':>12} {'log MiB':>8}"
    "   of each agent process: MiB in memory/descriptors/threads"
)


@dataclass(frozen=True)
class LongRun:
    """One backup and its restore, on one host."""

    folder: Path
    server: Minio
    calls: int
    at_once: int

    @cached_property
    def bench(self) -> Bench:
        return Bench(self.folder, 0, 1, Report(None))

    @cached_property
    def home(self) -> Path:
        return self.run.program.database.folder / "home"

    @cached_property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home)}

    @cached_property
    def config(self) -> str:
        return self.bench.config("long", f"s3://{self.server.bucket}/long", self.server.options, agent="on")

    @cached_property
    def run(self) -> Run:
        """What lies where, and the files of the coordinator."""
        shape = Tables(self.calls // SEGMENTS, 1000, self.at_once, SEGMENTS, single_data_file=False)
        (host := self.folder / "host").mkdir(mode=0o700)
        program = Program("ours", str(EXECUTABLE), self.config, Database(host), has_agent=True)
        return Run(program, shape, self.folder / "row", TIMESTAMP)

    def pids(self) -> list[int]:
        """The agent's processes, its workers first; none if it does not run."""
        with suppress(OSError):
            status = ask_agent(str(self.home), "status")
            return [*status["workers"], status["pid"]]
        return []

    def back_up(self) -> None:
        """The backup, with its hooks."""
        self.run.source.write_bytes(os.urandom(1000))
        self.call_hooks("setup_plugin_for_backup")
        self.call_tables("backup_data")
        self.run.write_files()
        for path in self.run.files():
            measure(self.task("backup_file", str(path)))
        self.call_hooks("cleanup_plugin_for_backup")

    def restore(self) -> None:
        """As back_up()."""
        self.call_hooks("setup_plugin_for_restore")
        self.call_tables("restore_data")
        self.call_hooks("cleanup_plugin_for_restore")

    def task(self, command: str, *words: str) -> Task:
        """One call that is measured by itself."""
        return Task(command, [str(EXECUTABLE), command, self.config, *words], self.environment)

    def call_hooks(self, name: str) -> None:
        """Call the hook as gpbackup does, once for the coordinator, the host and each segment; print what each cost."""
        self.call_together(f"{name} master", [(-1, ["master", "-1"])], name)
        self.call_together(f"{name} segment_host", [(0, ["segment_host"])], name)
        segments = [(content, ["segment", str(content)]) for content in range(SEGMENTS)]
        self.call_together(f"{name} segment, {SEGMENTS} times", segments, name)

    def call_together(self, title: str, calls: Sequence[tuple[int, list[str]]], name: str) -> None:
        """Call a hook for some segments, one after the other, and print what they cost."""
        before = self.pids()
        for pid in before:
            reset_peak(pid)
        used = cpu_of(list(map(str, before)))
        each = [measure(self.task(name, str(self.run.directory(content)), *words)) for content, words in calls]
        after = self.pids()
        # The first hook starts the agent, all of whose time is the hook's then.
        cpu = sum(one.cpu for one in each) + cpu_of(list(map(str, after))) - (used if after == before else 0)
        peaks = " ".join(f"{peak_of(pid):.0f}" for pid in after)
        print(
            f"{title:44} {sum(one.wall for one in each):6.2f} s, CPU {cpu:5.2f} s, peak MiB:"
            f" {max(one.memory for one in each) / MIB:.0f} of the caller, {peaks} of the agent's processes",
            flush=True,
        )

    def call_tables(self, command: str) -> None:
        """All calls for tables, and a line for each row of them."""
        print(f"{command}, {self.at_once} at a time\n{HEAD}", flush=True)
        begun, done = self.pids(), 0
        for row, count in enumerate(rows(self.calls)):
            before, started = cpu_of(list(map(str, begun))), time.monotonic()
            used = sum(self.call_some(command, content, row, count // SEGMENTS) for content in range(SEGMENTS))
            wall = time.monotonic() - started
            if self.pids() != begun:
                raise RuntimeError("a process of the agent has been replaced")
            used += cpu_of(list(map(str, begun))) - before
            done += count
            states = " ".join(f"{resident(pid):.1f}/{descriptors(pid)}/{threads(pid)}" for pid in begun)
            print(
                f"{done:8} {used / count * 1000:7.2f} {wall / count * 1000:8.2f} {self.size_of('journal/*'):12.2f}"
                f" {self.size_of('gpAdminLogs/*'):8.2f}   {states}",
                flush=True,
            )
        served = ask_agent(str(self.home), "status")
        print(f"the agent has served {served['served']} calls, and refused {served['refused']}", flush=True)

    def call_some(self, command: str, content: int, row: int, count: int) -> float:
        """Call for so many tables of a segment; return the clients' CPU seconds."""
        table = self.run.directory(content) / f"gpbackup_{content}_{TIMESTAMP}_{oid(row)}{{}}.gz"
        words = [str(count), str(self.at_once), str(self.run.source), "-"]
        words += [str(EXECUTABLE), command, self.config, str(table)]
        line = [sys.executable, "-I", "-S", str(CROWD), *words]
        done = subprocess.run(line, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr.strip()}")
        return float(done.stdout.split()[1])

    def size_of(self, pattern: str) -> float:
        """MiB of the files of that pattern below the host's home."""
        return sum(path.stat().st_size for path in self.home.rglob(pattern)) / MIB


class Tables(Shape):
    """The tables that are called for, row by row."""

    @property
    def oids(self) -> list[int]:
        counts = enumerate(rows(self.tables * self.segments))
        return [int(f"{oid(row)}{number}") for row, count in counts for number in range(count // self.segments)]


def rows(calls: int) -> Iterator[int]:
    """How many calls belong to each line: few to the first."""
    yield min(FIRST, calls)
    done = FIRST
    while done < calls:
        end = min(calls, (done // ROW + 1) * ROW)
        yield end - done
        done = end


def oid(row: int) -> str:
    """How the oids of a row's tables begin, which end with their numbers."""
    return f"1{row:02}"


def resident(pid: int) -> float:
    """MiB of a process that are in memory."""
    return _status(pid, "VmRSS") / 1024


def peak_of(pid: int) -> float:
    """The most MiB of a process that were in memory since reset_peak()."""
    return _status(pid, "VmHWM") / 1024


def reset_peak(pid: int) -> None:
    """Let the peak of a process begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def threads(pid: int) -> int:
    """How many threads a process has."""
    return _status(pid, "Threads")


def descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    """Make the backup and the restore."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_run")
    parser.add_argument("--calls", type=int, default=160_000, help="a multiple of 1,000 (%(default)s)")
    parser.add_argument("--at-once", type=int, default=8, help="calls at a time (%(default)s)")
    parser.add_argument("--folder", type=Path, default=Path.home(), help="on a real disk; default: %(default)s")
    asked = parser.parse_args()
    # As Ctrl-C: what was made is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="fsspec_gp_plugin-bench-", dir=asked.folder) as folder:
        try:
            with Bench(Path(folder), 0, 1, Report(None)).minio() as server:
                long = LongRun(Path(folder), server, asked.calls, asked.at_once)
                try:
                    long.back_up()
                    long.restore()
                finally:
                    with suppress(OSError):
                        ask_agent(str(long.home), "stop")
        except Skipped as reason:
            sys.exit(f"skipped: {reason}")


if __name__ == "__main__":
    main()
