"""`fsspec_gp_plugin agent status` and `agent stop`, for people; `agent serve`, which starts the agent."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from ..commands import PROGRAM
from ..config.values import format_duration
from . import wire

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_USAGE = f"""\
usage: {PROGRAM} agent status [--json]
                                 show whether a warm process runs on this host, for whom, and how busy it is
       {PROGRAM} agent stop      end it, when the commands that it runs have ended
The setup hooks start it. Exit status: 0 it runs, or was stopped; 1 there is none."""
_NONE = "no agent runs on this host for this user and installation"
_STOP_SECONDS = 3.0


def main(arguments: Sequence[str]) -> int:
    """Run one of the agent's own commands; returns the exit status."""
    if list(arguments) in (["status"], ["status", "--json"]):
        return _status(as_json="--json" in arguments)
    if list(arguments) == ["stop"]:
        return _stop()
    if len(arguments) >= 3 and arguments[0] == "serve":
        return _serve(arguments[1], arguments[2], arguments[3:])
    if set(arguments) & {"--help", "-h", "help"}:
        return _print(_USAGE, 0)
    sys.stderr.write(_USAGE + "\n")
    return 2


def _serve(idle: str, protocol: str, others: Sequence[str]) -> int:
    from .launch import STAND_IN
    from .serve import serve

    config = next((argument for argument in others if argument != STAND_IN), "")
    try:
        return serve(float(idle), protocol, 1, config=config, stand_in=STAND_IN in others)
    except (OSError, ValueError, wire.WireError) as error:
        from ..log import Log

        Log().error(f"agent: can't start: {error}")
        return 1


def _send_request(action: str) -> dict[str, Any] | None:
    """The agent's response; None if no agent runs."""
    from .hook_actions import send_request

    try:
        return send_request({"do": action})
    except (OSError, ValueError, wire.WireError):
        return None


def _status(*, as_json: bool) -> int:
    status = _send_request("status")
    if as_json:
        import json

        return _print(json.dumps({"runs": status is not None, **(status or {})}, indent=2), 0 if status else 1)
    if status is None:
        return _print(_NONE, 1)
    lines = [
        f"agent {status['version']}, process {status['pid']}, running for {status['seconds']} s",
        f"workers: {' '.join(map(str, status['workers']))}",
        f"commands: {status['streams']} running, {status['served']} served",
        *(f"not served: {count}, as {reason}" for reason, count in status.get("refused", {}).items()),
        f"nice value {status['nice']}, control group {status['control_group'] or '?'}",
        *([f"ends with: {status['ended_with']}"] if status.get("ended_with") else []),
        *(["started by a data command: the next setup hook replaces it"] if status["stand_in"] else []),
        *(
            f"needed by: {one['user']}, registered {format_duration(one['registered'])} ago, last sign "
            f"{format_duration(one['last_sign'])} ago"
            for one in status["signs"]
        ),
        *([f"ending: {status['ending']}"] if status["ending"] else []),
    ]
    return _print("\n".join(lines), 0)


def _stop() -> int:
    status = _send_request("stop")
    if status is None:
        return _print(_NONE, 1)
    end = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < end and os.path.exists(f"/proc/{status['pid']}"):
        time.sleep(0.05)
    if os.path.exists(f"/proc/{status['pid']}"):
        return _print(
            f"process {status['pid']} takes no more commands and ends with the {status['streams']} it runs", 0
        )
    return _print(f"process {status['pid']} has ended", 0)


def _print(text: str, exit_status: int) -> int:
    """Print to standard output; returns the exit status."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    return exit_status
