"""`fsspec_gp_plugin agent status` and `agent stop`, for people; `agent serve`, for the setup hooks."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from ..commands import PROGRAM
from ..config.values import format_duration
from .wire import WireError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

STAND_IN = "--stand-in"
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
        others = [word for word in arguments[3:] if word != STAND_IN]
        return _serve(arguments[1], arguments[2], (*others, "")[0], stand_in=STAND_IN in arguments)
    if set(arguments) & {"--help", "-h", "help"}:
        return _told(_USAGE, 0)
    sys.stderr.write(_USAGE + "\n")
    return 2


def _serve(idle: str, protocol: str, config: str, *, stand_in: bool) -> int:
    from .daemonize import serve

    try:
        return serve(float(idle), protocol, 1, config=config, stand_in=stand_in)
    except (OSError, ValueError, WireError) as error:
        from ..log import Log

        Log().error(f"agent: can't start: {error}")
        return 1


def _asked(what: str) -> dict[str, Any] | None:
    from .hook_actions import ask

    try:
        return ask({"do": what})
    except (OSError, ValueError, WireError):
        return None


def _status(*, as_json: bool) -> int:
    found = _asked("status")
    if as_json:
        import json

        return _told(json.dumps({"runs": found is not None, **(found or {})}, indent=2), 0 if found else 1)
    if found is None:
        return _told(_NONE, 1)
    lines = [
        f"agent {found['version']}, process {found['pid']}, running for {found['seconds']} s",
        f"workers: {' '.join(map(str, found['workers']))}",
        f"commands: {found['streams']} running, {found['served']} served",
        *(f"not served: {count}, as {reason}" for reason, count in found.get("refused", {}).items()),
        f"nice value {found['nice']}, control group {found['control_group'] or '?'}",
        *([f"ends with: {found['ended_with']}"] if found.get("ended_with") else []),
        *(["started by a data command: the next setup hook replaces it"] if found["stand_in"] else []),
        *(
            f"needed by: {one['user']}, registered {format_duration(one['registered'])} ago, last sign "
            f"{format_duration(one['last_sign'])} ago"
            for one in found["signs"]
        ),
        *([f"ending: {found['ending']}"] if found["ending"] else []),
    ]
    return _told("\n".join(lines), 0)


def _stop() -> int:
    found = _asked("stop")
    if found is None:
        return _told(_NONE, 1)
    end = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < end and os.path.exists(f"/proc/{found['pid']}"):
        time.sleep(0.05)
    if os.path.exists(f"/proc/{found['pid']}"):
        return _told(f"process {found['pid']} takes no more commands and ends with the {found['streams']} it runs", 0)
    return _told(f"process {found['pid']} has ended", 0)


def _told(text: str, status: int) -> int:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    return status
