"""Who needs the agent: the setup hooks start it and register their backup or restore, the cleanup hooks release it.

Nothing that goes wrong with it fails a hook or another command: without the agent each does its own work.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .. import __version__, keys
from ..commands import COMMANDS
from . import wire
from .environment import digest, protocols
from .launch import Birth, replace_dead_agent
from .server import CONTROL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.loading import Config
    from ..protocol.context import Context

_START_SECONDS = 20.0
_PAUSE_SECONDS = 0.02
_MOST_BIRTHS = 3


class Attendance:
    """What one command that runs without an agent does for that of its host."""

    def __init__(self) -> None:
        """Does nothing yet."""
        self._birth: Birth | None = None

    def before(self, context: Context, arguments: Sequence[str]) -> None:
        """Before the command, when its configuration is known: start an agent where this command is to. It is ready
        some time later. `arguments`: CONFIG and what follows.
        """
        command = COMMANDS[context.command]
        try:
            if command.is_hook:
                if (
                    context.command.startswith("setup_")
                    and arguments[2:3] != ["segment"]
                    and not _is_usable(context.config)
                ):
                    self._birth = Birth(context.config)
            elif command.is_for_agent:
                replace_dead_agent(context.config)
        except Exception as error:  # noqa: BLE001 - also an answer that has not the form of ours
            _note_absence(context, error)

    def after(self, context: Context, arguments: Sequence[str]) -> None:
        """After a command that has succeeded."""
        if COMMANDS[context.command].is_hook:
            after_hook(context, *arguments[1:3], birth=self._birth)


def after_hook(context: Context, directory: str, scope: str, *, birth: Birth | None = None) -> None:
    """Register or release the backup or restore of a hook that has succeeded. `birth`: the agent that was started for
    it.
    """
    if scope == "segment" or not context.config.agent:
        return
    hook, _, kind = context.command.partition("_plugin_for_")
    timestamp = keys.backup_of_directory(directory)[1]
    user = f"{kind} {timestamp} {'segment_host' if scope == 'segment_host' else 'coordinator'}"
    try:
        if hook == "setup":
            _register(context, user, birth)
        elif (left := ask({"do": "release", "user": user})).get("stand_in") and left["users"]:
            ask({"do": "replace"})
            _start(context, Birth(context.config), time.monotonic() + _START_SECONDS)
    except Exception as error:  # noqa: BLE001 - also an answer that has not the form of ours
        _note_absence(context, error)


def _note_absence(context: Context, error: Exception) -> None:
    context.log.verbose(f"no agent on this host: {type(error).__name__}: {error}")


def release_run(timestamp: str) -> None:
    """Release the backup of a run that somebody knows to have ended, and has removed."""
    with suppress(Exception):
        for user in ask({"do": "status"})["users"]:
            if user.startswith(f"backup {timestamp} "):
                ask({"do": "release", "user": user})


def ask(question: dict[str, Any]) -> dict[str, Any]:
    """The agent's answer; OSError, WireError or ValueError where there is no agent, or one that does not answer."""
    directory = wire.open_directory(wire.home())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(3)
            line.connect(wire.address(directory, wire.socket_name() + CONTROL))
            if wire.peer(line)[1] != os.geteuid():
                raise wire.WireError("the socket is another user's")
            line.sendall(json.dumps(question).encode() + b"\n")
            answer: dict[str, Any] = json.loads(line.makefile("rb").readline(1 << 20))
            return answer
    finally:
        os.close(directory)


def _ours(config: Config) -> dict[str, str]:
    """What an agent must have in common with this process to serve its backup or restore."""
    return {"version": __version__, "environment": digest(os.environ, protocols(config))}


def _is_usable(config: Config) -> bool:
    """Whether there is an agent for this process."""
    try:
        found = ask({"do": "status", "protocols": protocols(config)})
    except (OSError, ValueError, wire.WireError):
        return False
    return _ours(config).items() <= found.items() and not found.get("stand_in") and not found.get("ending")


def _register(context: Context, user: str, birth: Birth | None) -> None:
    process = context.gpbackup
    ours = _ours(context.config)
    question: dict[str, Any] = {"do": "use", "user": user, "process": process and process.to_json(), **ours}
    question["protocols"] = protocols(context.config)
    end = time.monotonic() + _START_SECONDS
    births = 0
    while time.monotonic() < end:
        try:
            found = ask(question)
        except (OSError, ValueError, wire.WireError):
            found = None
        if found is None or found.get("ending"):
            # None, or one that is about to go. Of several hooks that start one at once, one becomes the agent.
            if birth is None and births < _MOST_BIRTHS and found is None:
                birth = Birth(context.config)
                births += 1
            if birth is not None:
                _start(context, birth, end)
                birth = None
            else:
                time.sleep(_PAUSE_SECONDS)
        elif found.get("stand_in"):
            _tell("replace")
        elif ours.items() <= found.items():
            return
        elif found["users"] or found["streams"]:
            context.log.info(
                "the agent on this host serves another version or environment: this run works without the agent"
            )
            return
        else:
            _tell("stop_if_unused")
    raise wire.WireError("it did not start; the log may say why")


def _tell(what: str) -> None:
    """Ask the agent to end; it may be gone already."""
    with suppress(OSError, ValueError, wire.WireError):
        ask({"do": what})


def _start(context: Context, birth: Birth, end: float) -> None:
    try:
        if not birth.wait(end - time.monotonic()):
            context.log.verbose("the agent that was started is not the one of this host, or did not start")
            time.sleep(_PAUSE_SECONDS)
    finally:
        with suppress(OSError):
            birth.close()
