"""A large cluster in front of a make-believe S3, and what each step costs one of its hosts.

    .venv/bin/python -m benchmarks.scale [--hosts 1,10,100,1000] [--agent off|on|both] [--parts backup,restore,commands,
        delete] [--refuse 0.005] [--chain 7] [--version 1] [--limit 600] [--json FILE]

docs/scale.md has the figures, and says what they mean.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.scale.costs import serving
from benchmarks.scale.report import Report
from benchmarks.scale.rule import Shape
from benchmarks.scale.steps import Steps

HOOKS = ("backup", "restore")
PARTS = (*HOOKS, "commands", "delete")


def main() -> None:
    """Print a table for each size of the cluster; fails if a step did."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("--hosts", default="1,10,100,1000", help="sizes of the cluster (%(default)s)")
    parser.add_argument("--tables", type=int, default=20_000, help="tables of the database (%(default)s)")
    parser.add_argument("--backups", type=int, default=30, help="backups at the target (%(default)s)")
    parser.add_argument("--chain", type=int, default=1, help="one of so many backups is full (%(default)s)")
    parser.add_argument("--version", type=int, choices=[1, 2], default=2, help="of the manifests (%(default)s)")
    parser.add_argument("--agent", choices=["off", "on", "both"], default="both", help="of the host (%(default)s)")
    parser.add_argument("--parts", default=",".join(PARTS), help="what is measured (%(default)s)")
    parser.add_argument("--refuse", type=float, default=0.0, help="share of requests answered with 503 (%(default)s)")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that a step may take (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    asked = parser.parse_args()
    wanted = asked.parts.split(",")
    report = Report(asked.json)
    for hosts in map(int, asked.hosts.split(",")):
        shape = Shape(hosts, tables=asked.tables, backups=asked.backups, chain=asked.chain, version=asked.version)
        for agent in {"off": [False], "on": [True], "both": [False, True]}[asked.agent]:
            objects = hosts * shape.segments * shape.tables
            title = f"{hosts} hosts, {objects:,} objects a full backup, 1 of {shape.chain} backups is full, agent "
            title += f"{'on' if agent else 'off'}, {asked.refuse:.1%} of the requests refused"
            report.begin(title, {"shape": asdict(shape), "refuse": asked.refuse, "agent": agent})
            with tempfile.TemporaryDirectory(prefix="scale.") as folder, serving(shape, asked.refuse) as server:
                steps = Steps(shape, server, Path(folder), agent=agent, limit=asked.limit)
                # The agent serves no command of people, so these are measured once.
                parts = HOOKS if agent and asked.agent == "both" else PARTS
                for part in [one for one in parts if one in wanted]:
                    for cost in getattr(steps, part)():
                        report.add(cost)
    sys.exit(1 if report.has_failed else 0)


if __name__ == "__main__":
    main()
