"""The runs that need the agent of a host: each backup or restore that a setup hook has registered, and no cleanup hook
has released.

They are kept in a small file beside the agent's socket: an agent that takes the place of a dead one reads it.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..gpbackup_process import GpbackupProcess
from ..private import read_in, replace_in, unlink_in

if TYPE_CHECKING:
    from .shared_counters import LastCommands

SUFFIX = ".users"
# A run with no sign of life for so long is removed: its gpbackup was killed, and no hook came.
_ABANDONED_SECONDS = 86400.0
_WRITTEN_SECONDS = 600.0
_LONGEST_NAME = 200


@dataclass
class RegisteredRun:
    """A backup or restore. `since` and `sign`: when it was registered, and its last sign of life, in seconds since
    1970; `process`: its gpbackup or gprestore, if that runs on this host; `hooks`: how many setup hooks have
    registered it, as two restores of one backup do.
    """

    since: float
    sign: float
    process: GpbackupProcess | None = None
    hooks: int = 1


class Registry:
    """The registered runs of one agent, and their file."""

    def __init__(self, directory: int, name: str, last_commands: LastCommands) -> None:
        """Read the runs in the file `name` of an open directory. Workers write signs of life to `last_commands`."""
        self._directory = directory
        self._name = name
        self._last_commands = last_commands
        self._written = time.time()
        self.runs = read_runs(directory, name)
        for run_name, run in self.runs.items():
            last_commands.track(timestamp_of(run_name), run.sign)

    def add(self, name: str, process: GpbackupProcess | None) -> None:
        """Register a run, whose name is `KIND TIMESTAMP SCOPE`."""
        now, name = time.time(), name[:_LONGEST_NAME]
        earlier = self.runs.get(name)
        if earlier is None:
            self.runs[name] = RegisteredRun(now, now, process)
        else:  # two processes: the end of one says nothing of the other
            self.runs[name] = RegisteredRun(earlier.since, now, None, earlier.hooks + 1)
        self._last_commands.track(timestamp_of(name), now)
        self._write()

    def release(self, name: str) -> None:
        """Release a run, as its cleanup hook asks."""
        run = self.runs.get(name[:_LONGEST_NAME])
        if run is None:
            return
        run.hooks -= 1
        if not run.hooks:
            del self.runs[name[:_LONGEST_NAME]]
        self._write()

    def remove_abandoned(self) -> list[str]:
        """Remove the runs whose process has ended, or that gave no sign of life for a day; returns their names."""
        now = time.time()
        for name, run in self.runs.items():
            run.sign = max(run.sign, self._last_commands.last(timestamp_of(name)))
        gone = [
            name
            for name, run in self.runs.items()
            if now - run.sign > _ABANDONED_SECONDS or (run.process is not None and run.process.has_ended())
        ]
        for name in gone:
            del self.runs[name]
        if gone or (self.runs and now - self._written > _WRITTEN_SECONDS):
            self._write()
        return gone

    def clear(self) -> None:
        """Remove all runs: the agent ends, and no command is to start another one for them."""
        self.runs.clear()
        self._write()

    def describe(self) -> list[dict[str, Any]]:
        """For `agent status`: each run's name, and how many seconds ago it was registered and gave a sign of life."""
        now = time.time()
        return [
            {"user": name, "registered": round(now - run.since), "last_sign": round(now - run.sign)}
            for name, run in sorted(self.runs.items())
        ]

    def _write(self) -> None:
        self._written = time.time()
        with suppress(OSError):  # a full disk: then nobody starts another agent, should this one die
            if not self.runs:
                unlink_in(self._directory, self._name)
                return
            entries = {
                name: {
                    "since": run.since,
                    "sign": run.sign,
                    "process": run.process and run.process.to_json(),
                    "hooks": run.hooks,
                }
                for name, run in self.runs.items()
            }
            replace_in(self._directory, self._name, json.dumps(entries).encode())


def read_runs(directory: int, name: str) -> dict[str, RegisteredRun]:
    """The runs in a file, without the abandoned ones; none if the file is missing or damaged."""
    try:
        entries = json.loads(read_in(directory, name) or b"{}")
        runs = {
            str(run): RegisteredRun(
                float(one["since"]), float(one["sign"]), GpbackupProcess.from_json(one["process"]), int(one["hooks"])
            )
            for run, one in entries.items()
        }
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        return {}
    now = time.time()
    return {name: run for name, run in runs.items() if now - run.sign <= _ABANDONED_SECONDS}


def timestamp_of(run: str) -> int:
    """The timestamp in a run's name as a number; 0 if there is none."""
    words = run.split()
    return int(words[1]) if len(words) > 1 and words[1].isdecimal() and len(words[1]) == 14 else 0
