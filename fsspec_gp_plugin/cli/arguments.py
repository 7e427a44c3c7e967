"""The argument parser of the commands for people, with the options that several of them share."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any, NoReturn

from ..commands import COMMANDS, PROGRAM
from ..config.values import parse_duration
from ..errors import UsageError

if TYPE_CHECKING:
    from ..commands import Command

_DESCRIBE = "--describe-arguments"


class Parser(argparse.ArgumentParser):
    """The parser of one command; raises UsageError for wrong arguments."""

    def __init__(self, name: str) -> None:
        """`name` is the command's; its usage decides whether the first argument is CONFIG."""
        command = COMMANDS[name]
        super().__init__(f"{PROGRAM} {name}", description=command.summary, allow_abbrev=False)
        self.add_argument(_DESCRIBE, action=_Describe, nargs=0, help=argparse.SUPPRESS)
        if command.arguments[0] == "CONFIG":
            self.add_argument("config", metavar="CONFIG", help="the configuration file, as for gpbackup")

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of ending the process."""
        raise UsageError(f"{message}; see `{self.prog} --help`")

    def add_timestamp(self, **more: Any) -> None:
        """Add TIMESTAMP."""
        self.add_argument("timestamp", metavar="TIMESTAMP", type=timestamp, help="a backup's 14 digits", **more)

    def add_replica(self) -> None:
        """Add --replica."""
        self.add_argument("--replica", action="store_true", help="use `replica_url` instead of `url`")

    def add_older_than(self, meaning: str, **more: Any) -> None:
        """Add --older-than, an age in seconds."""
        text = f"{meaning}: a number of hours (h), days (d) or weeks (w), such as 36h or 30d"
        self.add_argument("--older-than", metavar="AGE", type=_age, help=text, **more)

    def add_yes(self) -> None:
        """Add --yes, without which nothing is deleted."""
        self.add_argument("--yes", action="store_true", help="delete; without it, only show what would be deleted")

    def add_json(self) -> None:
        """Add --json."""
        self.add_argument("--json", action="store_true", help="print JSON")


class _ParserMade(Exception):
    """Not an error: it carries a command's parser out of the command."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


class _Describe(argparse.Action):
    """Like --help, for programs."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        raise _ParserMade(parser)


def options_and_choices(command: Command) -> tuple[list[str], list[str]]:
    """The options of a command, and the words among which its first argument is to be chosen."""
    if not command.module.startswith("cli."):
        return command.options, command.choices  # it has no parser: its usage says all
    try:
        command.load()([_DESCRIBE])
    except _ParserMade as made:
        actions = [action for action in made.parser._actions if action.help != argparse.SUPPRESS]  # noqa: SLF001
        options = [option for action in actions for option in action.option_strings if option.startswith("--")]
        return options, command.choices
    raise AssertionError("it has no parser of this module")


def timestamp(text: str) -> str:
    """A backup's timestamp, as an argument; raises ArgumentTypeError for anything else."""
    if not re.fullmatch(r"[0-9]{14}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a backup's timestamp: expected 14 digits, YYYYMMDDHHMMSS")
    return text


def _age(text: str) -> float:
    # A bare number would be seconds, and months have the letter of minutes: neither may decide what is deleted.
    if not re.fullmatch(r"[0-9.]+ *[shdw]", text, re.IGNORECASE):
        raise argparse.ArgumentTypeError(f"{text!r} is not an age: expected hours, days or weeks, such as 36h, 30d, 8w")
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age: {error}") from None
