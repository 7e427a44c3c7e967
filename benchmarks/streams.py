"""The plugin beside other programs: one scenario, or all.

    benchmarks/install
    .venv/bin/python -m benchmarks.streams minio|…|all [--size 1G] [--runs 5] [--json FILE]

docs/performance.md tells what is compared, and why that is fair.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks import disk, encrypted, google, stores, tables
from benchmarks.bench import Bench, Report, Skipped
from fsspec_gp_plugin.config.values import parse_size

# Name: what runs it, default size, default runs.
SCENARIOS = {
    "minio": (stores.plain, "1G", 5),
    "tls": (stores.tls, "1G", 5),
    "link": (stores.cloud, "1G", 3),
    "google": (google.google, "1G", 3),
    "disk": (disk.disk, "4G", 5),
    "memory": (disk.memory, "20G", 1),
    "parts": (disk.parts, "50000M", 1),
    "subset": (stores.subset, "2G", 3),
    "encrypted": (encrypted.streams, "1G", 5),
    "encrypted_tables": (encrypted.small, "400K", 5),
    "tables": (tables.tables, "400K", 5),
    "workers": (tables.workers, "400K", 3),
    "far": (tables.far, "400K", 3),
    "agent": (stores.by_agent, "1G", 5),
    "eight": (tables.eight, "128M", 5),
}
# Not one of `all`: it takes as long as all others.
ALONE = "parts"


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams")
    parser.add_argument("scenario", choices=[*SCENARIOS, "all"])
    parser.add_argument("--size", type=parse_size, help="of the stream, such as 64M or 1G")
    parser.add_argument("--runs", type=int, help="measured runs of each command")
    parser.add_argument("--beside", default="", metavar="EXECUTABLE", help="a gpbackup_s3_plugin, for `tables`")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures of every run go")
    parser.add_argument("--folder", type=Path, default=Path.home(), help="on a real disk; default: %(default)s")
    arguments = parser.parse_args()
    # As Ctrl-C: servers are stopped and gigabytes removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = Report(arguments.json)
    everything = [name for name in SCENARIOS if name != ALONE]
    for name in everything if arguments.scenario == "all" else [arguments.scenario]:
        run, size, runs = SCENARIOS[name]
        with tempfile.TemporaryDirectory(prefix="fsspec_gp_plugin-bench-", dir=arguments.folder) as folder:
            bench = Bench(
                Path(folder), arguments.size or parse_size(size), arguments.runs or runs, report, arguments.beside
            )
            try:
                run(bench)
            except Skipped as reason:
                print(f"\n{name}: skipped, {reason}", flush=True)


if __name__ == "__main__":
    main()
