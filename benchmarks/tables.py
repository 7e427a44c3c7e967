"""Small tables, a process each: with the agent and either client, without it, and beside programs that do nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bench import Bench, Peer, link
from benchmarks.measure import Comparison, Figures, Target
from tests.protocol.agents import EXECUTABLE, ask_agent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.servers.minio import Minio

CROWD = Path(__file__).with_name("crowd.py")
TABLE = "/data/gpseg0/backups/20260102/20260102030405/gpbackup_0_20260102030405_{}"
AT_ONCE = 8
OTHER = "the other plugin"
PYTHON_CLIENT = str(EXECUTABLE.with_suffix(".sh"))
INTERPRETER = f"exec {EXECUTABLE.with_name('python3')} -I -S -c pass"


@dataclass(frozen=True)
class Crowd:
    """One command, run `count` times; `pids`: processes that work for it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    count: int
    pids: Sequence[int] = field(default=())


def tables(bench: Bench) -> None:
    """1 kB to and from MinIO, 8 at a time."""
    with bench.minio() as server, agent(bench) as pids:
        for command in ("backup_data", "restore_data"):
            _tables(bench, server, pids, command)


def far(bench: Bench) -> None:
    """The same by TLS through a link with a delay, beside `mc pipe`, which connects anew for each table."""
    with bench.minio(tls=True) as direct, link(direct, rate="1GB", delay=10) as server, agent(bench) as pids:
        config, peer = _config(bench, server), Peer.of(bench, server)
        few = max(bench.runs, bench.size // 4096)
        compare(
            bench,
            "backup_data of 1 kB to MinIO over TLS with 10 ms of delay",
            [
                Crowd("compiled client", plugin("backup_data", config), bench.environment, few, pids),
                Crowd("mc pipe", peer.command("pipe", "{}"), peer.environment, few),
            ],
            [Target("wall", "compiled client", 3, "mc pipe", faster=True)],
        )


def eight(bench: Bench) -> None:
    """Eight streams at once, by the agent and each in a process of its own."""
    bench.needs(10 * bench.size)
    with bench.minio() as server, agent(bench) as pids:
        config = _config(bench, server)
        alone = [PYTHON_CLIENT, "--without-agent", *plugin("backup_data", config)[1:]]
        compare(
            bench,
            f"Eight backup_data of {bench.length} to MinIO",
            [
                Crowd("by the agent", plugin("backup_data", config), bench.environment, AT_ONCE, pids),
                Crowd("alone", alone, bench.environment, AT_ONCE),
            ],
            [Target("wall", "by the agent", 1.05, "alone"), Target("cpu", "by the agent", None, "alone")],
            Path(bench.source()),
        )


def workers(bench: Bench) -> None:
    """1 kB to MinIO by agents of one, two and four processes."""
    with bench.minio() as server:
        config, count = _config(bench, server), bench.size // 1024
        for number in (1, 2, 4):
            with agent(bench, number) as pids:
                crowd = Crowd(f"{number} workers", plugin("backup_data", config), bench.environment, count, pids)
                compare(bench, f"backup_data of 1 kB by {number} workers", [crowd], [])


def _tables(bench: Bench, server: Minio, pids: Sequence[int], command: str) -> None:
    config, count = _config(bench, server), bench.size // 1024
    alone = [PYTHON_CLIENT, "--without-agent", *plugin(command, config)[1:]]
    beside, targets = [], []
    if bench.beside:
        other = [bench.beside, command, bench.s3_plugin_config(server, "beside"), TABLE]
        beside = [Crowd(OTHER, other, bench.environment, count // 2)]
        targets = [Target("wall", "compiled client", 0.2 if command == "backup_data" else 0.35, OTHER)]
    compare(
        bench,
        f"{command} of 1 kB with MinIO",
        [
            *beside,
            Crowd("compiled client", plugin(command, config), bench.environment, count, pids),
            Crowd("Python client", [PYTHON_CLIENT, *plugin(command, config)[1:]], bench.environment, count, pids),
            Crowd("sh and python3 -I -S -c pass", ["sh", "-c", INTERPRETER], bench.environment, count),
            Crowd("/bin/true", ["/bin/true"], bench.environment, count),
            Crowd("without the agent", alone, bench.environment, count // 4),
        ],
        [
            Target("cpu", "compiled client", 0.4, "sh and python3 -I -S -c pass"),
            Target("wall", "compiled client", 3, "/bin/true"),
            Target("cpu", "Python client", 1.6, "sh and python3 -I -S -c pass"),
            Target("wall", "compiled client", 10, "without the agent", faster=True),
            *targets,
        ],
    )


def plugin(command: str, config: str) -> list[str]:
    """The command line for a table; `{}` in it becomes the table's number."""
    return [str(EXECUTABLE), command, config, TABLE]


def _config(bench: Bench, server: Minio) -> str:
    return bench.config("tables", f"s3://{server.bucket}/tables", server.options, agent="on")


def compare(
    bench: Bench, title: str, crowds: Sequence[Crowd], targets: Sequence[Target], source: Path | None = None
) -> None:
    """Run the crowds in turn, and report the figures. `source`: what each sends, by default a row of 1 kB."""
    title = f"{title}, {bench.runs} runs in turn"
    if source is None:
        title = f"{title}, {AT_ONCE} at a time; seconds for 100 tables"
        source = bench.folder / "row"
        source.write_bytes(os.urandom(1000))
    result = Comparison(title, targets)
    result.runs = {crowd.name: [] for crowd in crowds}
    for number in range(-1, bench.runs):
        for crowd in crowds if number % 2 == 0 else reversed(crowds):
            figures = _run(crowd, source)
            if number >= 0:  # the first round fills the caches
                result.runs[crowd.name].append(figures)
    bench.report.add(result)


def _run(crowd: Crowd, source: Path) -> Figures:
    pids = ",".join(map(str, crowd.pids)) or "-"
    line = [sys.executable, "-I", "-S", str(CROWD), str(crowd.count), str(AT_ONCE), str(source), pids, *crowd.command]
    done = subprocess.run(line, env=dict(crowd.environment), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{crowd.name}: {done.stderr.strip()}")
    # Of tables there may be fewer where each takes long.
    wall, cpu = (float(figure) * (100 / crowd.count if crowd.count > AT_ONCE else 1) for figure in done.stdout.split())
    return Figures(wall, cpu, 0)


@contextmanager
def agent(bench: Bench, workers: int = 0) -> Iterator[list[int]]:
    """An agent as a setup hook starts it, or with another number of workers; yields their process ids."""
    command = [str(EXECUTABLE), "agent", "serve", "600", "s3"]
    if workers:
        start = f"server.workers_for = lambda _: {workers}; serve.serve(600, 's3', 1)"
        command = [sys.executable, "-c", f"from fsspec_gp_plugin.agent import serve, server; {start}"]
    with subprocess.Popen(command, env=bench.environment, stdout=subprocess.PIPE, start_new_session=True) as process:
        if process.stdout is None or process.stdout.readline() != b"ready\n":
            raise RuntimeError("the agent does not start; the log may say why")
        try:
            yield ask_agent(str(bench.folder), "status")["workers"]
        finally:
            ask_agent(str(bench.folder), "stop")
