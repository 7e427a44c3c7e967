"""One backup and one restore as gpbackup and gprestore make them, by any plugin.

One host has the coordinator and the segments. Hooks and files are called by `bash -c`; data by `sh -c` in a segment's
data directory, with nice 19 and umask 0077, in the environment of the database's server.
"""

from __future__ import annotations

import hashlib
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cli.arranged import REPORT
from tests.cli.whole import contents, record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.protocol.caller import Database

PHASES = ("hooks of the backup", "data up", "files up", "hooks of the restore", "files down", "data down")
BACKUP, RESTORE = "whole backup", "whole restore"
_HOOKS = (
    "setup_plugin_for_backup",
    "cleanup_plugin_for_backup",
    "setup_plugin_for_restore",
    "cleanup_plugin_for_restore",
)
_SCOPES = ("master", "segment_host", "segment")
HOOKS = tuple(f"{hook} {scope}" for hook in _HOOKS for scope in _SCOPES)

_UP = {"gzip": "gzip -c -1", "cat": "cat"}
_DOWN = {"gzip": "gzip -d -c", "cat": "cat"}


@dataclass(frozen=True)
class Shape:
    """What is backed up: so many tables a segment, of so many bytes, so many at a time on each; or one stream a
    segment. `through`: gzip, or cat for no compression.
    """

    tables: int
    size: int
    jobs: int
    segments: int
    single_data_file: bool
    through: str = "gzip"
    nice: int = 19

    @property
    def oids(self) -> list[int]:
        return [] if self.single_data_file else [16384 + number for number in range(self.tables)]


@dataclass(frozen=True)
class Program:
    """A plugin with its configuration on a host of its own."""

    name: str
    executable: str
    config: str
    database: Database
    has_agent: bool


@dataclass
class Run:
    """One backup and one restore by one program."""

    program: Program
    shape: Shape
    source: Path
    timestamp: str
    seconds: dict[str, float] = field(default_factory=dict)

    def back_up(self) -> None:
        """Note the seconds of each phase: of hooks, the sum of what each takes."""
        started = time.monotonic()
        self._hooks("setup_plugin_for_backup", "hooks of the backup")
        self._phase("data up", self._data(f"{_UP[self.shape.through]} | {{}}", "backup_data"))
        self.write_files()
        self._phase("files up", [self._file("backup_file", name) for name in self.files()], at_once=1)
        self._hooks("cleanup_plugin_for_backup", "hooks of the backup")
        self.seconds[BACKUP] = time.monotonic() - started

    def restore(self) -> None:
        """As back_up()."""
        started = time.monotonic()
        self._hooks("setup_plugin_for_restore", "hooks of the restore")
        self._phase("files down", [self._file("restore_file", name) for name in self.files()], at_once=1)
        self._phase("data down", self._data(f"{{}} | {_DOWN[self.shape.through]} | sha256sum", "restore_data"))
        self._hooks("cleanup_plugin_for_restore", "hooks of the restore")
        self.seconds[RESTORE] = time.monotonic() - started

    def directory(self, content: int) -> Path:
        """Where gpbackup keeps a segment's files of the backup."""
        return self.program.database.folder / f"gpseg{content}/backups/{self.timestamp[:8]}/{self.timestamp}"

    def _command(self, name: str, *words: str) -> str:
        return " ".join([self.program.executable, name, self.program.config, *words])

    def _hooks(self, name: str, phase: str) -> None:
        """The coordinator's alone, then those of all hosts at once, then those of all segments at once."""
        segments = range(self.shape.segments)
        here = {content: str(self.directory(content)) for content in (-1, *segments)}
        steps = [
            [self._command(name, here[-1], "master", '\\"-1\\"')],
            [self._command(name, here[content], "segment_host") for content in segments],
            [self._command(name, here[content], "segment", f'\\"{content}\\"') for content in segments],
        ]
        for scope, step in zip(_SCOPES, steps, strict=True):
            with ThreadPoolExecutor(len(step)) as pool:
                taken = list(pool.map(self._bash, step))
            self._add(phase, sum(taken))
            # Those of one scope come at once, and each has to wait for itself only.
            self._add(f"{name} {scope}", max(taken))

    def _bash(self, line: str) -> float:
        home = self.program.database.folder / "home"
        return self._seconds(["bash", "-c", line], home, subprocess.DEVNULL)

    def _seconds(self, command: list[str], cwd: Path, stdin: int, digest: str = "") -> float:
        """How long a command takes, whose output is to begin with `digest`."""
        started = time.monotonic()
        done = subprocess.run(
            command,
            stdin=stdin,
            capture_output=True,
            cwd=cwd,
            env=self.program.database.environment(),
            umask=0o077,
            check=False,
        )
        taken = time.monotonic() - started
        if done.returncode or done.stderr:
            raise RuntimeError(f"{' '.join(command)}: status {done.returncode}: {done.stderr.decode().strip()}")
        if not done.stdout.startswith(digest.encode()):
            raise RuntimeError(f"{' '.join(command)}: other bytes than were backed up")
        return taken

    @cached_property
    def _digest(self) -> str:
        found = hashlib.sha256()
        with open(self.source, "rb") as source:
            while piece := source.read(1 << 20):
                found.update(piece)
        return found.hexdigest()

    def _phase(self, name: str, works: Sequence[Callable[[], float]], at_once: int = 0) -> None:
        started = time.monotonic()
        with ThreadPoolExecutor(at_once or self.shape.jobs * self.shape.segments) as pool:
            for done in [pool.submit(work) for work in works]:
                done.result()
        self._add(name, time.monotonic() - started)

    def _add(self, phase: str, seconds: float) -> None:
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds

    def _data(self, line: str, command: str) -> list[Callable[[], float]]:
        """A stream for each table and segment, as the server's COPY PROGRAM makes it."""
        digest = self._digest if command == "restore_data" else ""

        def work(content: int, ending: str) -> float:
            path = self.directory(content) / f"gpbackup_{content}_{self.timestamp}{ending}"
            called = line.format(self._command(command, str(path)))
            with open(self.source, "rb") as source:
                nice = ["nice", "-n", str(self.shape.nice)]
                return self._seconds([*nice, "sh", "-c", called], path.parents[3], source.fileno(), digest)

        suffix = ".gz" if self.shape.through == "gzip" else ""
        endings = [f"_{oid}{suffix}" for oid in self.shape.oids] or [suffix]
        segments = range(self.shape.segments)
        return [lambda c=c, e=e: work(c, e) for e in endings for c in segments]  # type: ignore[misc]

    def files(self) -> list[Path]:
        """The paths of the coordinator's files, and of each segment's table of contents if it has one stream."""
        ends = ("metadata.sql", "toc.yaml", "plugin_config.yaml", "config.yaml", "report")
        found = [self.directory(-1) / f"gpbackup_{self.timestamp}_{end}" for end in ends]
        if self.shape.single_data_file:
            found += [self.directory(c) / f"gpbackup_{c}_{self.timestamp}_toc.yaml" for c in range(self.shape.segments)]
        return found

    def _file(self, command: str, path: Path) -> Callable[[], float]:
        return lambda: self._bash(self._command(command, str(path)))

    def write_files(self) -> None:
        """Write what gpbackup writes on the coordinator, as far as a restore's setup hook reads it."""
        told = record(self.timestamp, (), self.shape.segments)
        if self.shape.through != "gzip":
            told = told.replace("compressed: true", "compressed: false").replace(
                "compressiontype: gzip", 'compressiontype: ""'
            )
        if self.shape.single_data_file:
            told = told.replace("singledatafile: false", "singledatafile: true")
        named = {"database": "bench", "options": "", "section": "All Sections", "filtering": "None"}
        report = REPORT.format(timestamp=self.timestamp, incremental="False", status="Success", **named)
        config = Path(self.program.config).read_text()
        texts = {"toc.yaml": contents(self.shape.oids or (16384,)), "config.yaml": told, "report": report}
        for path in self.files():
            path.parent.mkdir(parents=True, exist_ok=True)
            end = path.name.removeprefix(f"gpbackup_{self.timestamp}_")
            path.write_text(config if end == "plugin_config.yaml" else texts.get(end, "text\n"))
