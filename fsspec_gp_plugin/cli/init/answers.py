"""The answers for `init`: NAME=VALUE arguments, and questions in a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from ...redaction import is_secret_key
from .kinds import KINDS, Kind, Question, url_of_any

if TYPE_CHECKING:
    from collections.abc import Callable


def split_pair(text: str) -> tuple[str, str]:
    """Split NAME=VALUE; the UsageError does not quote the text, which may be a secret."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError("expected NAME=VALUE after --option and --storage-option")
    return name, value


def yaml_value(text: str) -> Any:
    """The number, boolean, list or mapping that YAML reads from the text, else the text."""
    import yaml

    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text
    if isinstance(value, (bool, list, dict)) or (isinstance(value, int) and str(value) == text):
        return value
    return text


def is_secret(name: str) -> bool:
    """Whether the value must never be shown; NAME.NAME is a nested key."""
    return any(is_secret_key(part) for part in name.split("."))


def is_private(name: str) -> bool:
    """Whether the value belongs into the file of secrets: s3fs calls the id of a secret key `key`."""
    return name == "key" or is_secret(name)


def put(options: dict[str, Any], name: str, value: Any) -> None:
    """Set an option; NAME.NAME is a nested key."""
    *folders, last = name.split(".")
    for folder in folders:
        options = options.setdefault(folder, {})
        if not isinstance(options, dict):
            raise UsageError(f"storage option {name!r}: {folder!r} already has a value, so it can't be a mapping")
    options[last] = value


def is_terminal() -> bool:
    """Whether a person can answer. Questions go to standard error, as the output may go elsewhere."""
    return bool(sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty())


def ask(question: Question) -> Any:
    """Ask until the answer is right; returns its value, or None if it is empty. Raises UsageError if the input ends."""
    prompt = f"{question.text}{f' [{question.default}]' if question.default else ''}: "
    while True:
        answer = _secret(prompt) if question.secret else _line(prompt)
        answer = answer or question.default
        if not answer and question.optional:
            return None
        try:
            if answer:
                return question.check(answer)
            _print("an answer is required")
        except ValueError as error:
            _print(str(error))


def ask_kind() -> Kind:
    """Ask for the kind of target."""
    sys.stderr.write("Where should the backups go?\n")
    for number, kind in enumerate(KINDS, 1):
        sys.stderr.write(f"  {number}  {kind.title}\n")

    def check(text: str) -> Kind:
        matching = [kind for number, kind in enumerate(KINDS, 1) if text.lower() in (str(number), kind.name)]
        if not matching:
            raise ValueError(f"expected a number from 1 to {len(KINDS)}")
        return matching[0]

    chosen: Kind = ask(Question("", "Number", check, default="1"))
    return chosen


def ask_text(text: str, default: str, check: Callable[[str], str]) -> str:
    """Ask for a text."""
    return str(ask(Question("", text, check, default)))


def check_answer(what: str, check: Callable[[str], Any], text: str) -> str:
    """The text as `check` converts it; UsageError, which names `what`, where that raises ValueError."""
    try:
        return str(check(text))
    except ValueError as error:
        raise UsageError(f"{what}: {error}") from None


def check_url(text: str) -> str:
    """A URL without a password. Raises ValueError."""
    from urllib.parse import urlsplit

    if urlsplit(text).password:
        raise ValueError(
            "a password in it would be stored in the configuration: leave it out and set the storage option"
        )
    return url_of_any(text)


def _line(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        sys.stderr.write("\n")
        raise UsageError("the input ended before the last question; nothing was written")
    return line.strip()


def _secret(prompt: str) -> str:
    import getpass

    try:
        return getpass.getpass(prompt, sys.stderr)
    except EOFError:
        sys.stderr.write("\n")
        raise UsageError("the input ended before the last question; nothing was written") from None


def _print(text: str) -> None:
    sys.stderr.write(f"  {text}\n")
