"""What one host of a cluster does in a backup and in a restore, and what a person calls, one step after another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.scale.costs import Host, MadeUp, measure
from benchmarks.scale.rule import Backup
from fsspec_gp_plugin.integrity.journal import Journal
from fsspec_gp_plugin.private import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.scale.costs import Cost
    from benchmarks.scale.rule import Shape

# A backup that still runs, which all hosts but ours have joined; and one that nobody has begun.
_RUNNING, _FREE = "20261201010000", "20261202010000"
# Of larger clusters no backup is deleted: that takes hours.
_MOST_TO_DELETE = 10


class Steps:
    """All steps for one shape of a cluster. Each yields its cost as soon as it is known."""

    def __init__(self, shape: Shape, server: MadeUp, folder: Path, *, agent: bool, limit: float) -> None:
        """`limit`: how many seconds a step may take."""
        self._shape = shape
        self._server = server
        self._folder = folder
        self._agent = agent
        self._limit = limit
        self._number = 0

    def _host(self) -> Host:
        self._number += 1
        return Host.of(self._folder / f"host{self._number}", self._server, agent=self._agent)

    def _measure(self, name: str, host: Host, *commands: list[str], output: str = "") -> Cost:
        return measure(name, self._server, host, commands, self._limit, output)

    def _hook(self, host: Host, hook: str, timestamp: str, scope: str, content: int = -1) -> list[str]:
        id_of = {"master": ['\\"-1\\"'], "segment": [f'\\"{content}\\"']}.get(scope, [])
        return host.command(hook, host.directory(content, timestamp), scope, *id_of)

    def _contents(self) -> range:
        return self._shape.contents_of(self._shape.mine)

    def backup(self) -> Iterator[Cost]:
        """The hooks of a backup, on the coordinator's host and on a segment host."""
        setup, cleanup = "setup_plugin_for_backup", "cleanup_plugin_for_backup"
        coordinator, host = self._host(), self._host()
        first = self._contents()[0]
        try:
            yield self._measure(
                "backup: setup, coordinator", coordinator, self._hook(coordinator, setup, _FREE, "master")
            )
            self._server.ask(f"stage?timestamp={_RUNNING}&stage=begun")
            yield self._measure(
                "backup: setup, segment host", host, self._hook(host, setup, _RUNNING, "segment_host", first)
            )
            segments = [self._hook(host, setup, _RUNNING, "segment", content) for content in self._contents()]
            yield self._measure(f"backup: setup, {len(segments)} segments", host, *segments)
            self._write_journal(host)
            self._server.ask(f"stage?timestamp={_RUNNING}&stage=stored")
            yield self._measure(
                "backup: cleanup, segment host", host, self._hook(host, cleanup, _RUNNING, "segment_host", first)
            )
            yield self._measure(
                "backup: cleanup, coordinator", coordinator, self._hook(coordinator, cleanup, _FREE, "master")
            )
        finally:
            coordinator.close()
            host.close()

    def _write_journal(self, host: Host) -> None:
        """Note what the host has stored of the running backup, as its commands would."""
        backup = Backup(self._shape, _RUNNING, 0, "stored")
        with Journal(Place(host.url, host.state), _RUNNING) as journal:
            journal.prepare()
            for content in self._contents():
                for entry in backup.entries(content):
                    journal.add(entry)

    def restore(self) -> Iterator[Cost]:
        """The hooks of a restore of the last whole chain: of its full backup, and of its last incremental one."""
        last = self._shape.backups - 1 - self._shape.backups % self._shape.chain
        for number in sorted({last - self._shape.chain + 1, last}):
            length = number % self._shape.chain + 1
            yield from self._restore(self._shape.timestamps[number], f"restore of {length}")

    def _restore(self, timestamp: str, name: str) -> Iterator[Cost]:
        setup, cleanup = "setup_plugin_for_restore", "cleanup_plugin_for_restore"
        coordinator, host = self._host(), self._host()
        contents = self._contents()
        try:
            yield self._measure(
                f"{name}: setup, coordinator", coordinator, self._hook(coordinator, setup, timestamp, "master")
            )
            yield self._measure(
                f"{name}: setup, segment host", host, self._hook(host, setup, timestamp, "segment_host", contents[0])
            )
            segments = [self._hook(host, setup, timestamp, "segment", content) for content in contents]
            yield self._measure(f"{name}: setup, {len(segments)} segments", host, *segments)
            yield self._measure(f"{name}: one table", host, self._restore_data(host, timestamp))
            yield self._measure(
                f"{name}: cleanup, segment host",
                host,
                self._hook(host, cleanup, timestamp, "segment_host", contents[0]),
            )
        finally:
            coordinator.close()
            host.close()

    def _restore_data(self, host: Host, timestamp: str) -> list[str]:
        """A table of one of the host's segments, which its setup has looked for."""
        content = self._contents()[-1]
        end = self._shape.tables_of(self._shape.timestamps.index(timestamp)).ends[-1]
        return host.command(
            "restore_data", f"{host.directory(content, timestamp)}/gpbackup_{content}_{timestamp}_{end}"
        )

    def commands(self) -> Iterator[Cost]:
        """What people call, or a timer."""
        latest = self._shape.timestamps[-1]
        shards = self._shape.hosts * self._shape.segments
        calls: dict[str, tuple[list[str], Callable[[str], str]]] = {
            f"list, {self._shape.backups} backups": (["list", "--json"], self._wrong_list),
            "prune --keep-full 100": (["prune", "--keep-full", "100", "--json"], _accept),
            "metrics": (["metrics", "--json"], self._wrong_metrics),
            f"verify --quick --shard {self._contents()[-1]}/{shards}": (
                ["verify", latest, "--quick", "--shard", f"{self._contents()[-1]}/{shards}", "--json"],
                _accept,
            ),
        }
        for name, (words, find_wrong) in calls.items():
            yield self._command(name, words, find_wrong)

    def _command(self, name: str, words: list[str], find_wrong: Callable[[str], str]) -> Cost:
        host = self._host()
        output = host.database.folder / "output"
        cost = self._measure(name, host, host.command(*words), output=str(output))
        if not cost.failed:
            cost.failed = find_wrong(output.read_text())
        return cost

    def _wrong_list(self, text: str) -> str:
        """What is wrong with the output of `list`, "" if nothing is."""
        listed = {one["timestamp"]: one for one in json.loads(text)["backups"]}
        for number, timestamp in enumerate(self._shape.timestamps):
            expected = self._expected(number)
            one = listed.get(timestamp, {})
            if (one.get("state"), one.get("objects"), one.get("bytes")) != ("complete", *expected):
                return f"{timestamp} is listed as {one}, not as {expected}"
            if one["hosts_without_manifest"] or one["manifests"] != self._shape.hosts + 1:
                return f"{timestamp} is listed with {one['manifests']} manifests"
        return ""

    def _wrong_metrics(self, text: str) -> str:
        """What is wrong with the output of `metrics`, "" if nothing is."""
        told = json.loads(text)
        last = max(told["last"], key=lambda one: str(one["timestamp"]))
        expected = self._expected(self._shape.backups - 1)
        if told["backups"]["complete"] < self._shape.backups or (last["objects"], last["bytes"]) != expected:
            return f"{told['backups']}, {last['objects']} objects, not {expected}"
        return ""

    def _expected(self, number: int) -> tuple[int, int]:
        """How many objects and bytes a backup has."""
        backup = Backup(self._shape, self._shape.timestamps[number], number)
        rows = [row for host in backup.hosts for row in backup.rows(host)]
        return sum(row[1] for row in rows), sum(row[2] for row in rows)

    def delete(self) -> Iterator[Cost]:
        """The deletion of a whole backup, and a look whether anything is left."""
        if self._shape.hosts > _MOST_TO_DELETE:
            return
        timestamp = self._shape.timestamps[0]
        host = self._host()
        yield self._measure("delete_backup", host, host.command("delete_backup", timestamp, "--any-cluster"))
        yield self._command("list, after it", ["list", "--json"], lambda text: _still_there(text, timestamp))


def _accept(_: str) -> str:
    return ""


def _still_there(text: str, timestamp: str) -> str:
    listed = [one["timestamp"] for one in json.loads(text)["backups"]]
    return f"{timestamp} is still there" if timestamp in listed else ""
