"""The commands: what each is called, takes and does, and the help made of it.

Imported by every call, so it imports nothing heavy itself.
"""

from __future__ import annotations

import os
from itertools import zip_longest
from typing import TYPE_CHECKING

from . import __version__
from .errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "fsspec_gp_plugin"
ANY_CLUSTER = "--any-cluster"
_LOCAL_PATHS = ("CONFIG", "FILE", "OFFSETS", "DIR")


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

    @property
    def options(self) -> list[str]:
        """Those of its arguments that are options, and --help."""
        bare = (argument.strip("[]") for argument in self.arguments)
        return ["--help", *(argument for argument in bare if argument.startswith("--"))]

    @property
    def is_patient(self) -> bool:
        """Whether it moves data, and so waits minutes for a store that is away rather than fail."""
        return self.name.startswith(("backup_", "restore_", "replicate_"))

    @property
    def is_for_agent(self) -> bool:
        """Whether the warm process of a host may run it. The launcher and both clients have these names once more."""
        return self.module in ("data", "files", "hooks")

    @property
    def is_hook(self) -> bool:
        """Whether gpbackup calls it on each host before or after the data."""
        return self.module == "hooks"

    def resolve_paths(self, arguments: Sequence[str], directory: str) -> list[str]:
        """The arguments, CONFIG first, with those that are local paths made absolute; `directory`: the caller's."""
        kinds = ["CONFIG", *(argument.strip("[]") for argument in self.arguments)]
        return [
            os.path.join(directory, value) if kind in _LOCAL_PATHS else value
            for kind, value in zip_longest(kinds[: len(arguments)], arguments, fillvalue="")
        ]

    @property
    def help(self) -> str:
        """What a person is told about it."""
        named = [argument.strip("[]") for argument in ("CONFIG", *self.arguments)]
        width = max(9, *map(len, named))
        lines = [f"  {name:<{width}}  {_ARGUMENTS[name]}" for name in named]
        return "\n".join([f"usage: {PROGRAM} {self.usage}", "", self.summary, "", *lines])

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


_ARGUMENTS = {
    "CONFIG": "the configuration file, as for `gpbackup --plugin-config`",
    "FILE": "the local path that gpbackup uses, .../backups/YYYYMMDD/YYYYMMDDHHMMSS/NAME",
    "OFFSETS": "a text file, `N START1 END1 START2 END2 ...`: byte positions, ends exclusive, ascending",
    "DIR": "a local directory; for the hooks .../backups/YYYYMMDD/YYYYMMDDHHMMSS, which need not exist",
    "SCOPE": "master, coordinator, segment_host or segment",
    "CONTENT": "the content id of the coordinator (-1) or the segment",
    "TIMESTAMP": "the backup's 14 digits, YYYYMMDDHHMMSS",
    "SHARD": "I/N, I from 0: only part I of N; the last call goes without, and completes the copy",
    ANY_CLUSTER: "also a backup that another cluster claims",
    "PATH": "a path below the url",
    "N": "how many files at a time, 1 to 64; more than 8 count as 8",
}

# For people: what each is called, takes and does. They are in the package cli.
PEOPLE = {
    "init": ("[FILE]", "make a configuration file, asking what is not given"),
    "agent": ("status|stop [--json]", "show, or end, the warm process of this host"),
    "list": ("CONFIG", "show which backups there are, complete or not"),
    "info": ("CONFIG TIMESTAMP", "show what is known of one backup"),
    "verify": ("CONFIG [TIMESTAMP]", "read every object and compare it with what was backed up"),
    "doctor": ("CONFIG", "try every step that a backup needs, here or on many hosts"),
    "bench": ("CONFIG", "measure the target, and recommend settings"),
    "prune": ("CONFIG [--yes]", "delete complete backups that a policy lets go"),
    "cleanup": ("CONFIG [--yes]", "delete what backups that did not come to their end have left"),
    "metrics": ("CONFIG", "tell the state of the backups in the format of Prometheus"),
    "encrypt-secret": ("[KEYFILE]", "make of a secret a value that may stand in CONFIG"),
    "deploy": ("DIR", "install a bundle on all hosts, by ssh"),
    "completion": ("bash|zsh", "print what makes the shell complete commands and options"),
}

# Not for people: setup hooks and doctor call it, to see what another process or host finds at the target.
READ_OBJECT = "read-object"

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
        Command("deletion", "delete_backup", f"TIMESTAMP [{ANY_CLUSTER}]", "delete one backup"),
        Command("replication", "replicate_backup", "TIMESTAMP [SHARD]", "copy one backup to `replica_url`"),
        Command("replication", "delete_replica", "TIMESTAMP", "delete the copy of one backup"),
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

for people:
{people}

  {version_command:<{width}}  print the version of the plugin API
  --version{space}  print the plugin's version
  --help   {space}  show this

FILE is the path that gpbackup uses on the host: .../backups/YYYYMMDD/YYYYMMDDHHMMSS/NAME. Its last four
parts name the object below the url. SCOPE is master, coordinator, segment_host or segment.
The log is in ~/gpAdminLogs. Exit status: 0 done, 1 failed, 2 wrong call or configuration, 3 target out of
reach, 128+N ended by signal N.
"""


def help_text() -> str:
    """What `--help` prints: all commands and what each does."""
    width = max(len(command.usage) for command in COMMANDS.values())
    lines = [f"  {command.usage:<{width}}  {command.summary}" for command in COMMANDS.values()]
    return _HELP.format(
        program=PROGRAM,
        version=__version__,
        commands="\n".join(lines),
        people="\n".join(f"  {f'{name} {taken}':<{width}}  {does}" for name, (taken, does) in PEOPLE.items()),
        version_command="plugin_api_version",
        width=width,
        space=" " * (width - len("--version")),
    )


def nearest(name: str) -> str:
    """The end of the message about an unknown command: the one that was probably meant, or where to look."""
    import difflib

    # Never a guess that deletes.
    harmful = {known for known in COMMANDS if known.startswith("delete")} | {"prune", "cleanup", "deploy"}
    harmless = [known for known in (*COMMANDS, *PEOPLE) if known not in harmful]
    near = difflib.get_close_matches(name, [*harmless, "plugin_api_version", "--version", "--help"], n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; `{PROGRAM} --help` lists the commands"
