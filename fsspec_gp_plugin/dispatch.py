"""From the command line to a call.

Nothing heavy is imported here: --version and plugin_api_version answer without it, and a command imports
its own module when it is called.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from . import __version__
from .commands import COMMANDS, PEOPLE, PROGRAM, READ_OBJECT, help_text
from .errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Sequence

API_VERSION = "0.5.0"


def main(argv: Sequence[str]) -> int:
    """Run one call, whose arguments come without the program's name; returns the exit status."""
    if argv[:1] == ["--version"]:
        return _print(f"{PROGRAM} version {__version__}")
    if argv[:1] == ["plugin_api_version"]:
        return _print(API_VERSION)
    if not argv or argv[0] in ("--help", "-h", "help"):
        return _print(help_text(), 0 if argv else 2)
    command = COMMANDS.get(argv[0])
    if command is not None and {"--help", "-h"} & set(argv[1:]):
        return _print(command.help)
    if argv[0] == "agent":
        from .agent.people import main as agent

        return agent(argv[1:])
    if argv[0] in PEOPLE or argv[0] == READ_OBJECT:
        from .cli.main import main as cli

        return cli(argv)
    from .call import Call
    from .process import raise_on_signals, take_over_descriptors

    streams = take_over_descriptors()
    call = Call(streams, argv[0])
    try:
        raise_on_signals(call.ended_by)
        context = call.run(argv[1:])
        if command is not None and command.is_hook:
            from .agent.users import after_hook

            after_hook(context, *argv[2:4])
        return 0
    except BaseException as error:  # noqa: BLE001 - also a signal in our first or last moments
        try:
            return call.ended_by(error)
        except Interrupted as late:
            return 128 + late.signum


def _print(text: str, status: int = 0) -> int:
    try:
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()
    except (OSError, AttributeError):
        return 1  # closed or full
    return status
