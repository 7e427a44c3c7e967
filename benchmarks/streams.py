"""One stream up and down: the plugin beside `mc pipe` and `mc cat` on MinIO, and beside `cat` on disk.

    benchmarks/install && .venv/bin/python benchmarks/streams.py [MEGABYTES] [RUNS]

The commands take turns, so that both see the same machine; what is printed are medians. CPU is user and system time
of the command alone, memory its largest resident set.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root))

from tests.protocol.caller import EXECUTABLE, write_config  # noqa: E402
from tests.servers import minio as minio_server  # noqa: E402

OBJECT = "/data/gpseg0/backups/20260102/20260102030405/gpbackup_0_20260102030405"


@dataclass
class Figures:
    """One run: seconds of wall and CPU, peak bytes."""

    wall: float
    cpu: float
    memory: int


def measure(command: list[str], source: str, sink: str, environment: dict[str, str]) -> Figures:
    """Run a command between two files; a small process in between keeps our own memory out of its figures."""
    # wait4 counts what the parent had in memory at the fork, so the parent is a fresh interpreter.
    code = (
        "import os,sys,time;s=time.monotonic();p=os.fork()\n"
        "if not p: os.execv(sys.argv[1], sys.argv[1:])\n"
        "_,status,u=os.wait4(p,0);w=time.monotonic()-s\n"
        "print(status,w,u.ru_utime+u.ru_stime,u.ru_maxrss*1024,file=sys.stderr)"
    )
    with open(source, "rb") as stdin, open(sink, "wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code, *command],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=environment,
            check=True,
        )
    status, wall, cpu, memory = done.stderr.decode().split()[-4:]
    if status != "0":
        raise RuntimeError(done.stderr.decode())
    return Figures(float(wall), float(cpu), int(memory))


def compare(name: str, commands: dict[str, tuple[list[str], str, str]], runs: int, environment: dict[str, str]) -> None:
    """Print a table of medians and the ratio of the first command to the second, pair by pair."""
    figures: dict[str, list[Figures]] = {command: [] for command in commands}
    for run in range(runs + 1):
        for command, (line, source, sink) in commands.items():
            result = measure(line, source, sink, environment)
            if run:  # the first warms the caches
                figures[command].append(result)
    print(f"\n{name}\n{'':24} {'wall s':>8} {'CPU s':>8} {'peak MB':>8}")
    for command, results in figures.items():
        middle = [
            statistics.median(values) for values in zip(*((r.wall, r.cpu, r.memory) for r in results), strict=True)
        ]
        print(f"{command:24} {middle[0]:8.2f} {middle[1]:8.2f} {middle[2] / 1e6:8.0f}")
    ours, theirs = figures.values()
    ratio = statistics.median(a.wall / b.wall for a, b in zip(ours, theirs, strict=True))
    print(f"{'ratio of wall times':24} {ratio:8.2f}", flush=True)


def main() -> None:
    megabytes, runs = (int(word) for word in (*sys.argv[1:3], *("512", "5")[len(sys.argv) - 1 :]))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fsspec_gp_plugin/bin"
    with tempfile.TemporaryDirectory(dir=Path.home()) as name:
        folder = Path(name)
        data = str(folder / "source")
        with open(data, "wb") as file:
            file.writelines(os.urandom(1 << 20) for _ in range(megabytes))
        environment = {"PATH": os.environ["PATH"], "HOME": name}
        plugin = str(EXECUTABLE)
        null = "/dev/null"
        disk = str(write_config(folder / "disk.yaml", f"file://{folder}/target"))
        print(f"{megabytes} MB of random bytes, {runs} runs in turn")
        copied = str(folder / "copy")
        compare(
            "to disk",
            {
                "backup_data": ([plugin, "backup_data", disk, OBJECT], data, null),
                "cat > FILE; sync FILE": (["/bin/sh", "-c", f"cat > {copied} && sync {copied}"], data, null),
            },
            runs,
            environment,
        )
        compare(
            "from disk",
            {
                "restore_data": ([plugin, "restore_data", disk, OBJECT], null, null),
                "cat FILE": (["/bin/cat", copied], null, null),
            },
            runs,
            environment,
        )
        program = minio_server.executable()
        mc = cache / "mc"
        if program is None or not mc.exists():
            sys.exit("benchmarks/install builds MinIO and mc, which the rest needs")
        for server in minio_server.run(program, folder):
            config = str(write_config(folder / "s3.yaml", f"s3://{server.bucket}/bench", server.options))
            host = server.endpoint.replace("http://", f"http://{minio_server.USER}:{minio_server.PASSWORD}@")
            environment["MC_HOST_bench"] = host
            there = f"bench/{server.bucket}/peer"
            compare(
                "to MinIO",
                {
                    "backup_data": ([plugin, "backup_data", config, OBJECT], data, null),
                    "mc pipe": ([str(mc), "pipe", "--quiet", there], data, null),
                },
                runs,
                environment,
            )
            compare(
                "from MinIO",
                {
                    "restore_data": ([plugin, "restore_data", config, OBJECT], null, null),
                    "mc cat": ([str(mc), "cat", there], null, null),
                },
                runs,
                environment,
            )


if __name__ == "__main__":
    main()
