"""The command table, and the only place where an error becomes one line and an exit status.

Nothing heavy is imported here: --version and plugin_api_version answer from this module alone, and a
command imports its own module when it is called.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from . import __version__
from .errors import Interrupted, PluginError, ReaderGone, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .log import Log
    from .process import Streams

PROGRAM = "fsspec_gp_plugin"
API_VERSION = "0.5.0"


class Command:
    """One command: the function `module.name`, the names of its arguments after CONFIG, and what it does.

    An argument in square brackets may be left out.
    """

    def __init__(self, module: str, name: str, arguments: str, summary: str) -> None:
        self.module = module
        self.name = name
        self.arguments = arguments.split()
        self.summary = summary

    @property
    def usage(self) -> str:
        """How it is called, without the program's name."""
        return " ".join([self.name, "CONFIG", *self.arguments])

    def check(self, arguments: Sequence[str]) -> None:
        """Refuse a call with too few or too many arguments, CONFIG among them."""
        needed = 1 + sum(not argument.startswith("[") for argument in self.arguments)
        allowed = 1 + len(self.arguments)
        if needed <= len(arguments) <= allowed:
            return
        hint = ""
        if len(arguments) > allowed:
            hint = "; a path with a space arrives in pieces, as gpbackup does not quote it: use one without"
        raise UsageError(f"expected `{PROGRAM} {self.usage}`, got {len(arguments)} arguments{hint}")


COMMANDS = {
    command.name: command
    for command in (
        Command("hooks", "setup_plugin_for_backup", "DIR SCOPE [CONTENT]", "prove that the target can be written"),
        Command("files", "backup_file", "FILE", "store a local file"),
        Command("data", "backup_data", "FILE", "store standard input as FILE"),
        Command("hooks", "cleanup_plugin_for_backup", "DIR SCOPE [CONTENT]", "end a backup"),
        Command(
            "hooks", "setup_plugin_for_restore", "DIR SCOPE [CONTENT]", "prove that the backup is there and readable"
        ),
        Command("files", "restore_file", "FILE", "fetch a file to its local path"),
        Command("data", "restore_data", "FILE", "write FILE to standard output"),
        Command("data", "restore_data_subset", "FILE OFFSETS", "write only the byte ranges that OFFSETS lists"),
        Command("hooks", "cleanup_plugin_for_restore", "DIR SCOPE [CONTENT]", "end a restore"),
        Command("deletion", "delete_backup", "TIMESTAMP", "delete one backup"),
        Command("directories", "list_directory", "[PATH]", "show names and sizes below PATH, or of everything"),
        Command("directories", "delete_directory", "PATH", "delete everything below PATH"),
        Command("directories", "backup_directory", "DIR", "store a local directory"),
        Command("directories", "backup_directory_parallel", "DIR [N]", "the same, N files at a time (5)"),
        Command("directories", "restore_directory", "DIR", "fetch a directory"),
        Command("directories", "restore_directory_parallel", "DIR [N]", "the same, N files at a time (5)"),
    )
}

_HELP = """\
{program} {version}: backups of gpbackup on any fsspec filesystem

usage: {program} COMMAND CONFIG [ARGUMENT ...]

CONFIG is the file given to `gpbackup --plugin-config`:
    executablepath: /absolute/path/of/{program}
    options:
      url: s3://bucket/prefix

commands, which gpbackup and gprestore call:
{commands}
  {version_command:<{width}}  print the version of the plugin API
  --version{space}  print the plugin's version
  --help   {space}  show this

FILE is the path that gpbackup uses on the host: .../backups/YYYYMMDD/YYYYMMDDHHMMSS/NAME. Its last four
parts name the object below the url. SCOPE is master, coordinator, segment_host or segment.
The log is in ~/gpAdminLogs. Exit status: 0 done, 1 failed, 2 wrong call or configuration, 3 target out of
reach, 128+N ended by signal N.
"""


def main(argv: Sequence[str]) -> int:
    """Run one call, whose arguments come without the program's name; returns the exit status."""
    if argv[:1] == ["--version"]:
        return _print(f"{PROGRAM} version {__version__}")
    if argv[:1] == ["plugin_api_version"]:
        return _print(API_VERSION)
    if not argv or argv[0] in ("--help", "-h", "help"):
        return _print(_help_text(), 0 if argv else 2)
    command = COMMANDS.get(argv[0])
    if command is not None and argv[1:2] in (["--help"], ["-h"]):
        return _print(f"usage: {PROGRAM} {command.usage}\n\n{command.summary}")
    from .process import raise_on_signals, take_over_descriptors

    streams = take_over_descriptors()
    raise_on_signals()
    return run(streams, argv)


def run(streams: Streams, argv: Sequence[str], log: Log | None = None) -> int:
    """Run one command on the given descriptors and report how it ended."""
    from .log import Log
    from .process import send_stray_output_to

    name = argv[0]
    if log is None:
        log = Log()
        if log.fd is not None:
            send_stray_output_to(log.fd)
    try:
        _run(streams, log, name, argv[1:])
    except ReaderGone:
        log.info(f"{name} ended early: the reader of its output has what it needs")
        return 0
    except Interrupted as error:
        import signal

        _report(streams, log, name, f"interrupted by {signal.Signals(error.signum).name}; what it had sent was removed")
        return 128 + error.signum
    except PluginError as error:
        _report(streams, log, name, str(error))
        return error.exit_status
    except MemoryError:
        _report(streams, log, name, "out of memory; fewer backup_max_concurrent_requests need less")
        return 1
    except Exception as error:  # noqa: BLE001 - a traceback on standard error helps nobody who restores
        import traceback

        log.error(" | ".join(traceback.format_exc().splitlines()))
        _report(streams, log, name, f"unexpected {type(error).__name__}: {error}; the log has the details")
        return 1
    return 0


def _run(streams: Streams, log: Log, name: str, arguments: Sequence[str]) -> None:
    command = COMMANDS.get(name)
    if command is None:
        import difflib

        near = difflib.get_close_matches(name, [*COMMANDS, "plugin_api_version", "--version", "--help"], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; `{PROGRAM} --help` lists the commands"
        raise UsageError(f"unknown command{hint}")
    command.check(arguments)
    from importlib import import_module

    from .protocol.context import Context

    context = Context(streams, log, name, arguments[0])
    try:
        module = import_module(f".protocol.{command.module}", __package__)
        # The configuration first, so that its verbosity and its secrets are known to all that follows.
        _ = context.config
        getattr(module, name)(context, *arguments[1:])
    finally:
        context.close()


def _report(streams: Streams, log: Log, name: str, message: str) -> None:
    """Tell a failure: one line on the caller's standard error, and one in the log."""
    from .redaction import scrub

    log.error(f"{name} failed: {message}")
    line = " ".join(scrub(f"{PROGRAM}: {name}: {message}").split())
    with suppress(OSError):  # nobody listens
        os.write(streams.stderr, (line + "\n").encode(errors="backslashreplace"))


def _help_text() -> str:
    width = max(len(command.usage) for command in COMMANDS.values())
    lines = [f"  {command.usage:<{width}}  {command.summary}" for command in COMMANDS.values()]
    return _HELP.format(
        program=PROGRAM,
        version=__version__,
        commands="\n".join(lines),
        version_command="plugin_api_version",
        width=width,
        space=" " * (width - len("--version")),
    )


def _print(text: str, status: int = 0) -> int:
    try:
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()
    except (OSError, AttributeError):
        return 1  # closed or full
    return status
