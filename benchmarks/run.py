"""A whole run as gpbackup and gprestore make it, ours beside another plugin: hooks, files and data.

    benchmarks/install
    .venv/bin/python -m benchmarks.run minio|disk [--tables 100] [--size 1M] [--jobs 4] [--single-data-file]
        [--segments 2] [--runs 5] [--without-agent] [--through gzip|cat] [--nice 19] [--hooks] [--json FILE]
        [--beside EXECUTABLE [--beside-config FILE]]

docs/performance.md tells how the commands are called.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bench import Bench, Report, Skipped
from benchmarks.crowd import cpu_of
from benchmarks.measure import Comparison, Figures, Target
from benchmarks.whole_run import BACKUP, HOOKS, PHASES, RESTORE, Program, Run, Shape
from fsspec_gp_plugin.config.values import parse_size
from tests.protocol.agents import EXECUTABLE, ask_agent
from tests.protocol.caller import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.minio import Minio

OURS = "ours"
START = datetime(2026, 1, 2, 3, 4, 5)
# Sums of the seconds of ten hooks, the agent's birth included.
TARGETS = {"hooks of the backup": 0.9, "hooks of the restore": 0.7}


def figures(run: Run) -> dict[str, Figures]:
    """Of one run, in a process of its own: with the CPU seconds of all that it started, and of the agent."""
    cpu, memory = 0.0, 0
    for step in (run.back_up, run.restore):
        step()
        if run.program.has_agent:
            # It ends here, so that the restore starts one of its own.
            agent_cpu, peak = _agent_used(str(run.program.database.folder / "home"))
            cpu, memory = cpu + agent_cpu, max(memory, peak)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, memory = cpu + used.ru_utime + used.ru_stime, max(memory, used.ru_maxrss * 1024)
    return {phase: Figures(wall, cpu, memory) for phase, wall in run.seconds.items()}


def _agent_used(home: str) -> tuple[float, int]:
    """CPU seconds and peak bytes of the agent's processes, which end with this."""
    told = ask_agent(home, "status")
    pids = [str(pid) for pid in (told["pid"], *told["workers"])]
    cpu = cpu_of(pids)
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    peak = max(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    ask_agent(home, "stop")
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        time.sleep(0.01)
    return cpu, peak


def whole_runs(
    bench: Bench, shape: Shape, target: str, *, beside_config: Path | None, agent: bool, by_hook: bool
) -> None:
    """Ours, and another plugin if one is named, in turn."""
    streams = len(shape.oids) or 1
    bench.needs(shape.size * streams * shape.segments * (bench.runs + 1) * (2 if bench.beside else 1))
    server = bench.minio() if target == "minio" else nullcontext(None)
    with server as minio:
        programs = [_ours(bench, minio, agent=agent)]
        if bench.beside:
            programs.append(_other(bench, minio, beside_config))
        # They are for two segments.
        is_judged = target == "minio" and agent and shape.segments == 2
        walls = [Target("wall", OURS, limit) for limit in TARGETS.values()] if is_judged else []
        limits = dict(zip(TARGETS, walls, strict=False))
        kind = "one stream" if shape.single_data_file else f"{shape.tables} tables, {shape.jobs} at a time,"
        title = f"{target}, {shape.segments} segments, {kind} of {shape.size / (1 << 20):g} MiB each"
        title += "; CPU and memory of backup and restore together"
        results = {}
        for phase in (*PHASES, *(HOOKS if by_hook else ()), BACKUP, RESTORE):
            found = [limits[phase]] if phase in limits else []
            found += [Target("wall", OURS, None, beside_name(bench.beside))] if bench.beside else []
            results[phase] = Comparison(f"{phase}: {title}, {bench.runs} runs in turn", found)
            results[phase].runs = {program.name: [] for program in programs}
        for number in range(-1, bench.runs):
            for program in programs if number % 2 == 0 else reversed(programs):
                stamp = f"{START + timedelta(hours=number, seconds=programs.index(program)):%Y%m%d%H%M%S}"
                told = _in_a_process(Run(program, shape, Path(bench.source()), stamp))
                for phase, one in told.items():
                    if number >= 0 and phase in results:  # the first round fills the caches
                        results[phase].runs[program.name].append(one)
        for result in results.values():
            bench.report.add(result)


def _in_a_process(run: Run) -> dict[str, Figures]:
    # Forked, so that what its children use is counted for this run alone.
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(figures, (run,))


def beside_name(executable: str) -> str:
    """What another plugin is called in the tables."""
    return Path(executable).name


def _ours(bench: Bench, minio: Minio | None, *, agent: bool) -> Program:
    url = f"s3://{minio.bucket}/ours" if minio else f"file://{bench.folder}/target"
    config = bench.config("ours", url, minio.options if minio else {}, agent="on" if agent else "off")
    return Program(OURS, str(EXECUTABLE), config, _database(bench, OURS), agent)


def _other(bench: Bench, minio: Minio | None, given: Path | None) -> Program:
    """One with a configuration of its own, or on MinIO that of gpbackup_s3_plugin."""
    config = bench.folder / "other.yaml"
    if given:
        shutil.copyfile(given, config)  # gpbackup hands over a copy, too
    elif minio is None:
        raise Skipped("on disk another plugin needs --beside-config")
    else:
        bench.s3_plugin_config(minio, config.stem)
    return Program(beside_name(bench.beside), bench.beside, str(config), _database(bench, "other"), has_agent=False)


def _database(bench: Bench, name: str) -> Database:
    folder = bench.folder / f"host-{name}"
    folder.mkdir(mode=0o700)
    return Database(folder)


@contextmanager
def _folder(where: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fsspec_gp_plugin-bench-", dir=where) as folder:
        yield Path(folder)


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run")
    parser.add_argument("target", choices=["minio", "disk"])
    parser.add_argument("--tables", type=int, default=100, help="of each segment (%(default)s)")
    parser.add_argument("--size", type=parse_size, default="1M", help="of each table, or stream (%(default)s)")
    parser.add_argument("--jobs", type=int, default=4, help="tables at a time on each segment (%(default)s)")
    parser.add_argument("--segments", type=int, default=2, help="on one host (%(default)s)")
    parser.add_argument("--single-data-file", action="store_true", help="one stream a segment")
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each program (%(default)s)")
    parser.add_argument("--without-agent", action="store_true", help="every command does its own work")
    parser.add_argument("--beside", default="", metavar="EXECUTABLE", help="such as a gpbackup_s3_plugin")
    parser.add_argument("--beside-config", type=Path, metavar="FILE", help="its configuration, for an empty place")
    parser.add_argument("--through", choices=["gzip", "cat"], default="gzip", help="each table goes (%(default)s)")
    parser.add_argument("--nice", type=int, default=19, help="of the commands for tables (%(default)s)")
    parser.add_argument("--hooks", action="store_true", help="tell each of the ten hooks, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures of every run go")
    parser.add_argument("--folder", type=Path, default=Path.home(), help="on a real disk; default: %(default)s")
    asked = parser.parse_args()
    shape = Shape(
        asked.tables, asked.size, asked.jobs, asked.segments, asked.single_data_file, asked.through, asked.nice
    )
    with _folder(asked.folder) as folder:
        bench = Bench(folder, asked.size, asked.runs, Report(asked.json), asked.beside)
        try:
            whole_runs(
                bench,
                shape,
                asked.target,
                beside_config=asked.beside_config,
                agent=not asked.without_agent,
                by_hook=asked.hooks,
            )
        except Skipped as reason:
            sys.exit(f"skipped: {reason}")


if __name__ == "__main__":
    main()
