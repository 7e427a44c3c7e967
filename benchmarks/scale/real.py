"""A whole backup of two hosts on MinIO with real objects, and what each step costs.

    .venv/bin/python -m benchmarks.scale.real [--tables 2500] [--folder DIR] [--json FILE]

Only root can: the hosts are mount namespaces. Each has eight segments, and an agent.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

from benchmarks.scale import gpbackup_texts
from benchmarks.scale.costs import Counters, measure, used_by
from benchmarks.scale.report import Report
from benchmarks.tables import CROWD
from tests.protocol.agents import EXECUTABLE
from tests.protocol.hosts import make_host
from tests.servers import minio as minio_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.scale.costs import Cost
    from tests.protocol.caller import Database
    from tests.protocol.hosts import Host
    from tests.servers.minio import Minio

_SEGMENTS = 8
_HOSTS = 2
_REQUESTS = re.compile(r'minio_api_requests_total\{name="([^"]+)",.*\} ([0-9.e+]+)')
_SENT = re.compile(r"minio_api_requests_traffic_sent_bytes\{.*\} ([0-9.e+]+)")
_SETUPS, _CLEANUPS = "setup_plugin_for_{}", "cleanup_plugin_for_{}"


class MinioCounters(Counters):
    """MinIO's own counts. It knows no refusals."""

    def __init__(self, server: Minio) -> None:
        self._server = server
        self._requests: dict[str, int] = {}
        self._sent = 0

    def reset(self) -> None:
        self._requests, self._sent = self._now()

    def read(self) -> tuple[dict[str, int], int, int]:
        requests, sent = self._now()
        new = {name: count - self._requests.get(name, 0) for name, count in requests.items()}
        return {name: count for name, count in new.items() if count}, sent - self._sent, 0

    def _now(self) -> tuple[dict[str, int], int]:
        with urlopen(f"{self._server.endpoint}/minio/metrics/v3/api/requests") as answer:  # noqa: S310 - our own
            lines = answer.read().decode().splitlines()
        counts = {match[1]: int(float(match[2])) for match in map(_REQUESTS.match, lines) if match}
        return counts, sum(int(float(match[1])) for match in map(_SENT.match, lines) if match)


@dataclass
class RealHost:
    """A host in a namespace of its own, and its content ids: none on the coordinator's."""

    host: Host
    contents: range

    @property
    def database(self) -> Database:
        """Its directories and environment."""
        return self.host.database

    def command(self, *words: str) -> list[str]:
        """A command of the plugin there."""
        line = " ".join([str(EXECUTABLE), words[0], str(self.host.plugin.config), *words[1:]])
        return self.inside("bash", "-c", line)

    def inside(self, *command: str) -> list[str]:
        """Any command there, in the environment of the plugin's callers."""
        return [
            "env",
            "-i",
            *(f"{name}={value}" for name, value in self._environment().items()),
            *self.host.inside(*command),
        ]

    def _environment(self) -> dict[str, str]:
        # Without the wrong libraries: the program that starts the commands for tables is one of Python, too.
        known = self.database.environment()
        return {name: known[name] for name in ("PATH", "HOME", "GPHOME", "TZ", "LC_ALL")}

    def agent_used(self) -> tuple[float, int]:
        """CPU seconds and peak bytes of its agent until now."""
        command = self.inside(str(EXECUTABLE), "agent", "status", "--json")
        told = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
        return used_by(told) if told["runs"] else (0.0, 0)

    def close(self) -> None:
        """End its agent, and its namespace."""
        self.end_agent()
        self.host.close()

    def end_agent(self) -> None:
        """End its agent, as the time between two runs does."""
        subprocess.run(self.inside(str(EXECUTABLE), "agent", "stop"), capture_output=True, check=False)


class Cluster:
    """A coordinator's host and two segment hosts, and the steps of a backup and a restore."""

    def __init__(self, server: Minio, folder: Path, stack: ExitStack, tables: int) -> None:
        self._counters = MinioCounters(server)
        self._oids = [int(f"1{number}") for number in range(tables)]
        self._folder = folder
        url = f"s3://{server.bucket}/real"
        hosts = []
        for number, name in enumerate(("cdw", *(f"sdw{number + 1}" for number in range(_HOSTS)))):
            made = make_host(folder, name, url, server.options, agent="on", agent_idle="60s")
            contents = range((number - 1) * _SEGMENTS, number * _SEGMENTS) if number else range(0)
            hosts.append(stack.enter_context(closing(RealHost(made, contents))))
        self._coordinator, *self._hosts = hosts
        self._timestamp = self._coordinator.database.timestamp

    def _measure(self, name: str, host: RealHost, *commands: Sequence[str], output: str = "") -> Cost:
        return measure(name, self._counters, host, commands, 3600.0, output)

    def _hooks(self, hook: str, kind: str, *, is_cleanup: bool = False) -> Iterator[Cost]:
        """Those of all hosts, one host after another, so that each can be measured."""
        coordinator = self._coordinator
        name = f"{kind}: {'cleanup' if is_cleanup else 'setup'}"
        words = [coordinator.database.directory(-1), "master", '\\"-1\\"']
        yield self._measure(f"{name}, coordinator", coordinator, coordinator.command(hook, *words))
        for host in self._hosts:
            words = [host.database.directory(host.contents[0]), "segment_host"]
            yield self._measure(f"{name}, segment host", host, host.command(hook, *words))
            if not is_cleanup:
                calls = [
                    host.command(hook, host.database.directory(content), "segment", f'\\"{content}\\"')
                    for content in host.contents
                ]
                yield self._measure(f"{name}, {len(calls)} segments", host, *calls)

    def back_up(self) -> Iterator[Cost]:
        """A backup as gpbackup makes it, with one table at a time on each segment."""
        yield from self._hooks(_SETUPS.format("backup"), "backup")
        for host in self._hosts:
            calls = [self._tables(host, "backup_data", content) for content in host.contents]
            yield self._measure(f"backup: {len(self._oids) * len(calls):,} tables of a host", host, *calls)
        coordinator = self._coordinator
        for end, text in self._files().items():
            path = Path(coordinator.database.file(f"gpbackup_{self._timestamp}_{end}", -1))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
            yield self._measure(f"backup: {end}", coordinator, coordinator.command("backup_file", str(path)))
        yield from self._hooks(_CLEANUPS.format("backup"), "backup", is_cleanup=True)

    def _files(self) -> dict[str, bytes]:
        segments = _HOSTS * _SEGMENTS
        plan = [(self._timestamp, self._oids)]
        return {
            "metadata.sql": b"-- made by a benchmark\n",
            "toc.yaml": gpbackup_texts.contents(self._oids, self._oids),
            "config.yaml": gpbackup_texts.record(self._timestamp, segments, plan, is_incremental=False),
            "report": gpbackup_texts.report(self._timestamp, segments, len(self._oids), [self._timestamp]),
        }

    def _tables(self, host: RealHost, command: str, content: int) -> list[str]:
        path = host.database.file(f"gpbackup_{content}_{self._timestamp}_1{{}}.gz", content)
        source = self._folder / "table"
        source.write_bytes(b"a table of a few rows\n" * 20)
        starter = [sys.executable, "-I", "-S", str(CROWD), str(len(self._oids)), "1", str(source), "-"]
        return host.inside(*starter, str(EXECUTABLE), command, str(host.host.plugin.config), path)

    def restore(self) -> Iterator[Cost]:
        """A restore as gprestore makes it, of the tables of one segment on each host."""
        for host in (self._coordinator, *self._hosts):
            host.end_agent()
        yield from self._hooks(_SETUPS.format("restore"), "restore")
        for host in self._hosts:
            calls = [self._tables(host, "restore_data", host.contents[0])]
            yield self._measure(f"restore: {len(self._oids):,} tables of a segment", host, *calls)
        yield from self._hooks(_CLEANUPS.format("restore"), "restore", is_cleanup=True)

    def look(self) -> Iterator[Cost]:
        """The commands of people, the deletion last."""
        host, shards = self._coordinator, _HOSTS * _SEGMENTS
        host.end_agent()  # it serves none of them
        for words in (
            ["list", "--json"],
            ["metrics", "--json"],
            ["verify", self._timestamp, "--quick", "--shard", f"0/{shards}"],
            ["verify", self._timestamp, "--quick", "--shard", f"9/{shards}"],
            ["verify", self._timestamp, "--shard", f"9/{shards}"],
            ["delete_backup", self._timestamp],
        ):
            told = [word for word in words if word not in (self._timestamp, "--json")]
            yield self._measure(" ".join(told), host, host.command(*words))


def main() -> None:
    """Print a table of all steps; fails if a step did."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.real")
    parser.add_argument("--tables", type=int, default=2500, help="tables of the database (%(default)s)")
    parser.add_argument("--folder", type=Path, default=Path.home(), help="on a real disk (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    asked = parser.parse_args()
    program = minio_server.executable()
    if program is None:
        sys.exit("tests/servers/install builds MinIO")
    report = Report(asked.json)
    report.begin(
        f"MinIO, {_HOSTS} hosts, {asked.tables * _SEGMENTS:,} objects of each, agent on", {"tables": asked.tables}
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scale.", dir=asked.folder)))
        (folder / "minio").mkdir()
        server = stack.enter_context(contextmanager(minio_server.run)(program, folder / "minio"))
        cluster = Cluster(server, folder, stack, asked.tables)
        for part in (cluster.back_up, cluster.restore, cluster.look):
            for cost in part():
                report.add(cost)
    sys.exit(1 if report.has_failed else 0)


if __name__ == "__main__":
    main()
