"""What the commands for people are given: a configuration, its store, and options."""

from __future__ import annotations

import argparse
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from ..commands import PEOPLE, PROGRAM
from ..config.loading import Config, load_config, required_replica
from ..config.units import parse_duration
from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..storage.contract import Store

_ATTENDED_SECONDS = 30.0
_DESCRIBE = "--describe-arguments"


class Parser(argparse.ArgumentParser):
    """Arguments of one command; what is wrong with them is a UsageError."""

    def __init__(self, name: str, *, config: bool = True) -> None:
        """`name` is the command's; `config`: whether it is about a configuration, its first argument."""
        super().__init__(f"{PROGRAM} {name}", description=PEOPLE[name][1], allow_abbrev=False)
        self.add_argument(_DESCRIBE, action=_Describe, nargs=0, help=argparse.SUPPRESS)
        if config:
            self.add_argument("config", metavar="CONFIG", help="the configuration file, as for gpbackup")

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of ending the process."""
        raise UsageError(f"{message}; `{self.prog} --help` tells more")

    def add_timestamp(self, **more: Any) -> None:
        """A backup's timestamp."""
        self.add_argument("timestamp", metavar="TIMESTAMP", type=timestamp, help="a backup's 14 digits", **more)

    def add_replica(self) -> None:
        """To look at the second target."""
        self.add_argument("--replica", action="store_true", help="look at `replica_url` instead of `url`")

    def add_older_than(self, what: str, **more: Any) -> None:
        """An age, in seconds."""
        told = f"{what}: a number of h(ours), d(ays) or w(eeks), such as 36h or 30d"
        self.add_argument("--older-than", metavar="AGE", type=_age, help=told, **more)

    def add_yes(self) -> None:
        """The word without which nothing is deleted."""
        self.add_argument("--yes", action="store_true", help="delete; without it, only tell what would be deleted")

    def add_json(self) -> None:
        """The answer for programs."""
        self.add_argument("--json", action="store_true", help="the answer as JSON")


class _Described(Exception):
    """Not an error: a command has come to its parser."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


class _Describe(argparse.Action):
    """Like --help, for a program that wants to know the same."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        raise _Described(parser)


def words_of(command: Callable[[Sequence[str]], int]) -> tuple[list[str], list[str]]:
    """The options of a command, and the words that its first argument may be, by the parser that it makes."""
    try:
        command([_DESCRIBE])
    except _Described as told:
        actions = [action for action in told.parser._actions if action.help != argparse.SUPPRESS]  # noqa: SLF001
        options = [option for action in actions for option in action.option_strings if option.startswith("--")]
        first = next((action.choices for action in actions if not action.option_strings), None)
        return options, [str(word) for word in first or ()]
    raise AssertionError("it has no parser of this module")


def timestamp(text: str) -> str:
    """A backup's timestamp, as an argument; ArgumentTypeError for anything else."""
    if not re.fullmatch(r"[0-9]{14}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a backup's timestamp: expected 14 digits, YYYYMMDDHHMMSS")
    return text


def _age(text: str) -> float:
    # A bare number would be seconds, and months have the letter of minutes: neither may decide what is deleted.
    if not re.fullmatch(r"[0-9.]+ *[shdw]", text, re.IGNORECASE):
        raise argparse.ArgumentTypeError(f"{text!r} is no age: expected hours, days or weeks, such as 36h, 30d or 8w")
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no age: {error}") from None


@contextmanager
def opened(path: str, *, replica: bool = False, attended: bool = True) -> Iterator[tuple[Config, Store]]:
    """The configuration in a file, and its store, or those of its replica; what libraries say goes to the log.

    `attended`: a person waits for it; else it may take longer to wait for a store that is away.
    """
    from ..backups.renewal import renewal, store_of
    from ..log import Log, take_over_library_logging
    from ..storage.retry import with_retries
    from ..storage.retry_policy import UNATTENDED_SECONDS
    from .waiting import waiting_for

    config = load_config(os.path.abspath(path))
    if replica:
        config = required_replica(config)
    take_over_library_logging(Log(verbosity=config.logger_verbosity), keep_streams=True)
    outage = _ATTENDED_SECONDS if attended else UNATTENDED_SECONDS
    bare = store_of(config)
    with waiting_for(config, outage, attended=attended) as policy:
        store = with_retries(bare, policy._replace(renew=renewal(config, bare)))
        try:
            yield config, store
        finally:
            store.close()
