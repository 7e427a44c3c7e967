"""Turns a command line into a call.

Nothing heavy is imported here: --version and plugin_api_version answer without it, and a command imports
its own module when it is called.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from . import __version__, gzip_header
from .commands import COMMANDS, GPBACKUP, PROGRAM, help_text
from .errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .agent.launch import Launch
    from .protocol.context import Context

API_VERSION = "0.5.0"


def main(argv: Sequence[str]) -> int:
    """Run one call, whose arguments come without the program's name; returns the exit status."""
    status = _run_for_people(argv)
    if status is not None:
        return status
    from .call import Call
    from .process import raise_on_signals, take_over_descriptors

    streams = take_over_descriptors()
    command = COMMANDS.get(argv[0])
    launch: Launch | None = None

    def prepare(context: Context) -> None:
        nonlocal launch
        if command is not None and command.is_for_agent and context.config.agent and (command.is_hook or _had_agent()):
            from .agent.hook_actions import start_agent

            launch = start_agent(context, argv[1:])

    call = Call(streams, argv[0], prepare=prepare)
    try:
        header_is_needed = gzip_header.is_needed(argv[0], (*argv, "", "")[2])
        raise_on_signals(call.report_error, pause=gzip_header.PAUSE_SECONDS if header_is_needed else 0.0)
        context = call.run(argv[1:])
        if command is not None and command.is_hook and context.config.agent:
            from .agent.hook_actions import after_hook

            after_hook(context, *argv[2:4], launch=launch)
        return 0
    except BaseException as error:  # noqa: BLE001 - also a signal in our first or last moments
        try:
            return call.report_error(error)
        except Interrupted as late:
            return 128 + late.signum


def _run_for_people(argv: Sequence[str]) -> int | None:
    """Run what gpbackup does not call: help, versions, the agent and the commands for people. Returns the exit status;
    None if gpbackup calls the command.
    """
    if argv[:1] == ["--version"]:
        return _print(f"{PROGRAM} version {__version__}")
    if argv[:1] == ["plugin_api_version"]:
        return _print(API_VERSION)
    if not argv or argv[0] in ("--help", "-h", "help"):
        return _print(help_text(), 0 if argv else 2)
    command = COMMANDS.get(argv[0])
    if command is None:
        return None
    if command.audience == GPBACKUP:
        return _print(command.help) if {"--help", "-h"} & set(argv[1:]) else None
    if argv[0] == "agent":
        return int(command.load()(argv[1:]))
    from .cli.main import main as cli

    status = cli(argv)
    if (
        argv[0] == "cleanup"
        and not status
        and "--yes" in argv
        and (removed := re.search(r" --run[ =]([0-9]{14}) ", f"{' '.join(argv)} "))
    ):
        from .agent.hook_actions import release_run

        release_run(removed[1])
    return status


def _had_agent() -> bool:
    """Return whether there ever was an agent for this user."""
    return os.path.isdir(os.path.join(os.environ.get("HOME", ""), ".fsspec_gp_plugin/agent"))


def _print(text: str, status: int = 0) -> int:
    try:
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()
    except (OSError, AttributeError):
        return 1  # closed or full
    return status
