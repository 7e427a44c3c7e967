"""The table of all commands, from which help, dispatch, completion and the checks of the documents are made.

Every call imports it, so it imports nothing heavy itself.
"""

from __future__ import annotations

import os
from itertools import zip_longest
from typing import TYPE_CHECKING

from . import __version__
from .errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

PROGRAM = "fsspec_gp_plugin"
ANY_CLUSTER = "--any-cluster"
# Who calls a command: gpbackup and gprestore, people, or this program itself.
GPBACKUP, PEOPLE, OURSELVES = "gpbackup", "people", "ourselves"
_LOCAL_PATHS = ("CONFIG", "FILE", "OFFSETS", "DIR")


class Command:
    """One command: its name, arguments and summary, who calls it, and the function that runs it.

    `module` and `function` are below this package; the function is called as the command is, unless it is named.
    An argument in square brackets may be left out.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: str,
        summary: str,
        *,
        function: str = "",
        audience: str = GPBACKUP,
        for_agent: bool = False,
        deletes: bool = False,
    ) -> None:
        """`for_agent`: the agent may run it; the launcher and both clients list these names again.
        `deletes`: it is never suggested.
        """
        self.name = name
        self.module = module
        self.function = function or name
        self.arguments = arguments.split()
        self.summary = summary
        self.audience = audience
        self.is_for_agent = for_agent
        self.deletes = deletes

    @property
    def usage(self) -> str:
        """The command line, without the program's name."""
        return " ".join([self.name, *self.arguments])

    @property
    def options(self) -> list[str]:
        """The options in the usage, and --help."""
        return ["--help", *(name for name in self._argument_names if name.startswith("--"))]

    @property
    def choices(self) -> list[str]:
        """The words of which the first argument is one, if it is `WORD|WORD`."""
        first = self.arguments[0]
        return first.split("|") if "|" in first else []

    @property
    def is_patient(self) -> bool:
        """Whether it moves data, and so waits minutes for an unreachable store before it fails."""
        return self.name.startswith(("backup_", "restore_", "replicate_"))

    @property
    def is_hook(self) -> bool:
        """Whether gpbackup calls it on each host before or after the data."""
        return self.module == "protocol.hooks"

    @property
    def _argument_names(self) -> list[str]:
        return [argument.strip("[]") for argument in self.arguments]

    def load(self) -> Callable[..., Any]:
        """Import the module, and return the function that runs the command."""
        from importlib import import_module

        function: Callable[..., Any] = getattr(import_module(f".{self.module}", __package__), self.function)
        return function

    def resolve_paths(self, arguments: Sequence[str], directory: str) -> list[str]:
        """The arguments with local paths made absolute; `directory` is the caller's."""
        names = self._argument_names[: len(arguments)]
        return [
            os.path.join(directory, value) if name in _LOCAL_PATHS else value
            for name, value in zip_longest(names, arguments, fillvalue="")
        ]

    @property
    def help(self) -> str:
        """What `COMMAND --help` prints for a command of gpbackup."""
        names = self._argument_names
        width = max(9, *map(len, names))
        lines = [f"  {name:<{width}}  {_ARGUMENTS[name]}" for name in names]
        return "\n".join([f"usage: {PROGRAM} {self.usage}", "", self.summary, "", *lines])

    def check(self, arguments: Sequence[str]) -> None:
        """Raises UsageError for too few or too many arguments."""
        required = sum(not argument.startswith("[") for argument in self.arguments)
        allowed = len(self.arguments)
        if required <= len(arguments) <= allowed:
            return
        hint = ""
        if len(arguments) > allowed:
            hint = "; gpbackup splits a path that contains spaces into several arguments: use a path without spaces"
        count = f"{len(arguments)} argument{'s' * (len(arguments) != 1)}"
        raise UsageError(f"expected `{PROGRAM} {self.usage}`, got {count}{hint}")


_ARGUMENTS = {
    "CONFIG": "the configuration file, as for `gpbackup --plugin-config`",
    "FILE": "the local path that gpbackup uses, .../backups/YYYYMMDD/YYYYMMDDHHMMSS/NAME",
    "OFFSETS": "a text file, `N START1 END1 START2 END2 ...`: ascending byte positions, ends exclusive",
    "DIR": "a local directory; for the hooks .../backups/YYYYMMDD/YYYYMMDDHHMMSS, which need not exist",
    "SCOPE": "master, coordinator, segment_host or segment",
    "CONTENT": "the content id of the coordinator (-1) or the segment",
    "TIMESTAMP": "the backup's 14 digits, YYYYMMDDHHMMSS",
    "SHARD": "I/N, I from 0: copy only part I of N; a last call without it completes the copy",
    ANY_CLUSTER: "delete it even if another cluster claims it",
    "PATH": "a path below the url",
    "N": "how many files at a time, 1 to 64; more than 8 count as 8",
}

# `doctor` and the setup hooks call it in other processes and on other hosts.
READ_OBJECT = "read-object"


def _hook(name: str, summary: str) -> Command:
    return Command(name, "protocol.hooks", "CONFIG DIR SCOPE [CONTENT]", summary, for_agent=True)


def _person(name: str, module: str, arguments: str, summary: str, function: str = "main", **more: bool) -> Command:
    return Command(name, module, arguments, summary, function=function, audience=PEOPLE, **more)


_DIRECTORIES, _REPLICATION = "protocol.directories", "protocol.replication"
_PARALLEL = "a directory, N files at a time (default: 5)"
_DRY_RUN = "(dry run unless --yes)"
_TABLE = (
    _hook("setup_plugin_for_backup", "check that the target is writable"),
    Command("backup_file", "protocol.data", "CONFIG FILE", "store a local file", for_agent=True),
    Command("backup_data", "protocol.data", "CONFIG FILE", "store standard input as FILE", for_agent=True),
    _hook("cleanup_plugin_for_backup", "end a backup"),
    _hook("setup_plugin_for_restore", "check that the backup exists and is readable"),
    Command("restore_file", "protocol.data", "CONFIG FILE", "fetch a file to its local path", for_agent=True),
    Command("restore_data", "protocol.data", "CONFIG FILE", "write FILE to standard output", for_agent=True),
    Command(
        "restore_data_subset",
        "protocol.data",
        "CONFIG FILE OFFSETS",
        "write byte ranges of FILE",
        for_agent=True,
    ),
    _hook("cleanup_plugin_for_restore", "end a restore"),
    Command("delete_backup", _DIRECTORIES, f"CONFIG TIMESTAMP [{ANY_CLUSTER}]", "delete a backup", deletes=True),
    Command("replicate_backup", _REPLICATION, "CONFIG TIMESTAMP [SHARD]", "copy a backup to `replica_url`"),
    Command("delete_replica", _REPLICATION, "CONFIG TIMESTAMP", "delete a backup at `replica_url`", deletes=True),
    Command("list_directory", _DIRECTORIES, "CONFIG [PATH]", "list names and sizes below PATH, or below the url"),
    Command("delete_directory", _DIRECTORIES, "CONFIG PATH", "delete everything below PATH", deletes=True),
    Command("backup_directory", _DIRECTORIES, "CONFIG DIR", "store a local directory"),
    Command("backup_directory_parallel", _DIRECTORIES, "CONFIG DIR [N]", f"store {_PARALLEL}"),
    Command("restore_directory", _DIRECTORIES, "CONFIG DIR", "fetch a directory"),
    Command("restore_directory_parallel", _DIRECTORIES, "CONFIG DIR [N]", f"fetch {_PARALLEL}"),
    _person("init", "cli.init.command", "[FILE]", "create a configuration file, asking for what is missing"),
    _person("agent", "agent.control", "status|stop [--json]", "show or stop the agent of this host"),
    _person("list", "cli.backup_list", "CONFIG", "list the backups, complete or not", "list_backups"),
    _person("info", "cli.backup_list", "CONFIG TIMESTAMP", "show the details of one backup", "info"),
    _person("verify", "cli.verify", "CONFIG [TIMESTAMP]", "read every object and compare it with what was backed up"),
    _person("doctor", "cli.doctor.command", "CONFIG", "try every step of a backup, on this host or on many"),
    _person("bench", "cli.bench.command", "CONFIG", "measure the target and recommend settings"),
    _person("prune", "cli.prune", "CONFIG [--yes]", f"delete backups by a retention policy {_DRY_RUN}", deletes=True),
    _person(
        "cleanup", "cli.cleanup", "CONFIG [--yes]", f"delete leftovers of unfinished backups {_DRY_RUN}", deletes=True
    ),
    _person("metrics", "cli.metrics", "CONFIG", "print the state of the backups as Prometheus metrics"),
    _person("keygen", "cli.keygen", "[-o FILE]", "make a key pair for encrypted backups"),
    _person("decrypt", "cli.decrypt", "CONFIG KEY", "fetch one object of a backup and decrypt it"),
    _person("encrypt-secret", "cli.encrypt_secret", "[KEYFILE]", "encrypt a secret for use in CONFIG"),
    _person("deploy", "cli.deploy.command", "DIR", "install a bundle on all hosts by ssh", deletes=True),
    _person("completion", "cli.completion", "bash|zsh", "print a completion script for the shell"),
    Command(
        READ_OBJECT,
        "cli.open_target",
        "CONFIG KEY",
        "print a small object: setup hooks and `doctor` see by it what another process or host sees at the target",
        function="read_object",
        audience=OURSELVES,
    ),
)

COMMANDS = {command.name: command for command in _TABLE}
FOR_GPBACKUP = {command.name: command for command in _TABLE if command.audience == GPBACKUP}
FOR_PEOPLE = {command.name: command for command in _TABLE if command.audience == PEOPLE}

_HELP = """\
{program} {version}: store gpbackup's backups on any fsspec filesystem

usage: {program} COMMAND CONFIG [ARGUMENT ...]

CONFIG is the file given to `gpbackup --plugin-config`:
    executablepath: /absolute/path/of/{program}
    options:
      url: s3://bucket/prefix

Commands that gpbackup and gprestore call:
{commands}

Commands for people (`{program} COMMAND --help` shows their options):
{people}

  {version_command:<{width}}  print the version of the plugin API
  --version{space}  print the plugin's version
  --help   {space}  show this help

FILE is the path that gpbackup uses on the host: .../backups/YYYYMMDD/YYYYMMDDHHMMSS/NAME. Its last four
parts name the object below the url. SCOPE is master, coordinator, segment_host or segment.
The log is in ~/gpAdminLogs. Exit status: 0 success, 1 failure, 2 wrong usage or configuration, 3 target
unreachable, 4 (verify) not everything could be checked, 128+N ended by signal N.
"""


def help_text() -> str:
    """What `--help` prints: all commands and what each does."""
    width = max(len(command.usage) for command in FOR_GPBACKUP.values())

    def lines(commands: Iterable[Command]) -> str:
        return "\n".join(f"  {command.usage:<{width}}  {command.summary}" for command in commands)

    return _HELP.format(
        program=PROGRAM,
        version=__version__,
        commands=lines(FOR_GPBACKUP.values()),
        people=lines(FOR_PEOPLE.values()),
        version_command="plugin_api_version",
        width=width,
        space=" " * (width - len("--version")),
    )
