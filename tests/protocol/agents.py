"""Agents of make-believe hosts: started as a setup hook does, asked, and ended with their test."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fsspec_gp_plugin.agent import wire
from fsspec_gp_plugin.agent.wire import CONTROL
from tests.children import start_child

if TYPE_CHECKING:
    from tests.protocol.caller import Database

EXECUTABLE = Path(sys.executable).parent / "fsspec_gp_plugin"


class Agent:
    """The warm process of a make-believe host."""

    # Whether each host of the running test has an agent from the beginning, as after a setup hook.
    wanted: ClassVar[bool] = False
    running: ClassVar[list[Agent]] = []
    # Where the hosts of the running test keep their agents, which a hook may start, too.
    homes: ClassVar[list[str]] = []
    lock = threading.Lock()
    # Commands that could have been given to agents, and those that each agent had served when it was last asked.
    calls = 0
    seen: ClassVar[dict[int, int]] = {}

    @staticmethod
    def served() -> int:
        """The number of commands that agents ran, as far as they could be asked."""
        return sum(Agent.seen.values())

    def __init__(
        self, database: Database, protocol: str = "file", idle: float = 60, executable: Path = EXECUTABLE
    ) -> None:
        """Start it as a setup hook does."""
        self.home = str(database.folder / "home")
        self._process = start_child(
            [str(executable), "agent", "serve", str(idle), protocol],
            database.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            self._end()
            raise RuntimeError("it does not start")
        Agent.running.append(self)

    def ask(self, what: str, **more: str) -> dict[str, Any]:
        """Its answer to a question of the hooks and people."""
        return ask_agent(self.home, what, **more)

    def stop(self) -> None:
        """It ends with the last of its commands, and soon: all of the test's have ended."""
        Agent.running.remove(self)
        try:
            self.ask("stop")
        except OSError:  # it has ended, was killed, or its home is gone
            self._process.terminate()
        self._end()

    def _end(self) -> None:
        assert self._process.stdout is not None
        try:
            self._process.wait(15)
        finally:
            self._process.kill()
            self._process.stdout.close()
            self._process.wait()


def stop_agents() -> None:
    """End those that tests or the hooks that they called have started."""
    for agent in list(Agent.running):
        agent.stop()
    for home in Agent.homes:
        if Path(home, ".fsspec_gp_plugin").exists():
            with suppress(OSError):
                ask_agent(home, "stop")
    Agent.homes.clear()


def ask_agent(home: str, what: str, **more: str) -> dict[str, Any]:
    """The answer of the agent that a home has; OSError without one."""
    try:
        directory = wire.open_directory(home)
    except wire.WireError as error:
        raise OSError(str(error)) from error
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(wire.address(directory, wire.socket_name() + CONTROL))
            line.sendall(json.dumps({"do": what, **more}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(line.makefile("rb").readline())
            if what in ("status", "stop"):
                Agent.seen[answer["pid"]] = answer["served"]
            return answer
    finally:
        os.close(directory)
