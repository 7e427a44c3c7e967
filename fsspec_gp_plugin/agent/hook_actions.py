"""What commands that run without an agent do for the agent of their host: the setup hooks start it and register their
backup or restore, the cleanup hooks release that, and data commands replace an agent that died.

No failure here fails a command: without the agent each command does its own work.
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
from .launch import Launch, replace_dead_agent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.loading import Config
    from ..protocol.context import Context

_START_SECONDS = 20.0
_PAUSE_SECONDS = 0.02
_MAX_LAUNCHES = 3


def start_agent(context: Context, arguments: Sequence[str]) -> Launch | None:
    """Start an agent before a command runs, if this command is to; it is ready some time later. `arguments`: CONFIG and
    those behind it. Returns the launch of a setup hook, for after_hook().
    """
    command = COMMANDS[context.command]
    try:
        if not command.is_hook:
            replace_dead_agent(context.config)
        elif context.command.startswith("setup_") and arguments[2:3] != ["segment"] and not _is_usable(context.config):
            return Launch(context.config)
    except Exception as error:  # noqa: BLE001 - also a malformed response
        _log_absence(context, error)
    return None


def after_hook(context: Context, directory: str, scope: str, *, launch: Launch | None = None) -> None:
    """Register or release the backup or restore of a hook that has succeeded. `launch`: the agent that was started for
    it.
    """
    if scope == "segment" or not context.config.agent:
        return
    hook, _, kind = context.command.partition("_plugin_for_")
    timestamp = keys.backup_of_directory(directory)[1]
    run = f"{kind} {timestamp} {'segment_host' if scope == 'segment_host' else 'coordinator'}"
    try:
        if hook == "setup":
            _register(context, run, launch)
        elif (left := send_request({"do": "release", "user": run})).get("stand_in") and left["users"]:
            send_request({"do": "replace"})
            _wait_for_launch(context, Launch(context.config), time.monotonic() + _START_SECONDS)
    except Exception as error:  # noqa: BLE001 - also a malformed response
        _log_absence(context, error)


def _log_absence(context: Context, error: Exception) -> None:
    context.log.verbose(f"no agent on this host: {type(error).__name__}: {error}")


def release_run(timestamp: str) -> None:
    """Release a backup that `cleanup` has just deleted, as its run has ended."""
    with suppress(Exception):
        for run in send_request({"do": "status"})["users"]:
            if run.startswith(f"backup {timestamp} "):
                send_request({"do": "release", "user": run})


def send_request(request: dict[str, Any]) -> dict[str, Any]:
    """Send a request to the agent; returns the response. Raises OSError, WireError or ValueError if there is no agent,
    or it does not respond.
    """
    directory = wire.open_directory(wire.home())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(3)
            connection.connect(wire.address(directory, wire.socket_name() + wire.CONTROL))
            if wire.peer(connection)[1] != os.geteuid():
                raise wire.WireError("the socket is another user's")
            connection.sendall(json.dumps(request).encode() + b"\n")
            response: dict[str, Any] = json.loads(connection.makefile("rb").readline(1 << 20))
            return response
    finally:
        os.close(directory)


def _requirements(config: Config) -> dict[str, str]:
    """The fields of an agent's status that must be these if it is to serve the backup or restore of this process."""
    return {"version": __version__, "environment": digest(os.environ, protocols(config))}


def _is_usable(config: Config) -> bool:
    """Whether an agent runs that can serve this process."""
    try:
        status = send_request({"do": "status", "protocols": protocols(config)})
    except (OSError, ValueError, wire.WireError):
        return False
    return _requirements(config).items() <= status.items() and not status.get("stand_in") and not status.get("ending")


def _register(context: Context, run: str, launch: Launch | None) -> None:
    process = context.gpbackup
    requirements = _requirements(context.config)
    request: dict[str, Any] = {"do": "use", "user": run, "process": process and process.to_json(), **requirements}
    request["protocols"] = protocols(context.config)
    end = time.monotonic() + _START_SECONDS
    launches = 0
    while time.monotonic() < end:
        try:
            status = send_request(request)
        except (OSError, ValueError, wire.WireError):
            status = None
        if status is None or status.get("ending"):
            # There is no agent, or one that is about to go. Of several agents that hooks start at once, one stays.
            if launch is None and launches < _MAX_LAUNCHES and status is None:
                launch = Launch(context.config)
                launches += 1
            if launch is not None:
                _wait_for_launch(context, launch, end)
                launch = None
            else:
                time.sleep(_PAUSE_SECONDS)
        elif status.get("stand_in"):
            _end_agent("replace")
        elif requirements.items() <= status.items():
            return
        elif status["users"] or status["streams"]:
            context.log.info(
                "the agent on this host serves another version or environment: this run works without the agent"
            )
            return
        else:
            _end_agent("stop_if_unused")
    raise wire.WireError("it did not start; the log may say why")


def _end_agent(action: str) -> None:
    """Request that the agent ends; it may be gone already."""
    with suppress(OSError, ValueError, wire.WireError):
        send_request({"do": action})


def _wait_for_launch(context: Context, launch: Launch, end: float) -> None:
    try:
        if not launch.wait(end - time.monotonic()):
            context.log.verbose("the agent that was started is not the one of this host, or did not start")
            time.sleep(_PAUSE_SECONDS)
    finally:
        with suppress(OSError):
            launch.close()
