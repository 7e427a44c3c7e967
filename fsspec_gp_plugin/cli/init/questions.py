"""Questions in a terminal: asked until the answer is right, secrets without an echo."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from .kinds import KINDS, Kind, Question

if TYPE_CHECKING:
    from collections.abc import Callable


def is_terminal() -> bool:
    """Whether somebody is there to answer. Questions go to standard error: the output may go elsewhere."""
    return bool(sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty())


def ask(question: Question) -> Any:
    """What the answer means; None for none. UsageError when the input ends."""
    prompt = f"{question.text}{f' [{question.default}]' if question.default else ''}: "
    while True:
        answer = _secret(prompt) if question.secret else _line(prompt)
        answer = answer or question.default
        if not answer and question.optional:
            return None
        try:
            if answer:
                return question.check(answer)
            _say("this needs an answer")
        except ValueError as error:
            _say(str(error))


def ask_kind() -> Kind:
    """Which kind of target it is to be."""
    sys.stderr.write("Where are the backups to go?\n")
    for number, kind in enumerate(KINDS, 1):
        sys.stderr.write(f"  {number}  {kind.title}\n")

    def check(text: str) -> Kind:
        found = [kind for number, kind in enumerate(KINDS, 1) if text.lower() in (str(number), kind.name)]
        if not found:
            raise ValueError(f"expected a number from 1 to {len(KINDS)}")
        return found[0]

    chosen: Kind = ask(Question("", "Number", check, default="1"))
    return chosen


def ask_text(text: str, default: str, check: Callable[[str], str]) -> str:
    """One answer that is text."""
    return str(ask(Question("", text, check, default)))


def _line(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        sys.stderr.write("\n")
        raise UsageError("the answers ended before the questions; nothing was written")
    return line.strip()


def _secret(prompt: str) -> str:
    import getpass

    try:
        return getpass.getpass(prompt, sys.stderr)
    except EOFError:
        sys.stderr.write("\n")
        raise UsageError("the answers ended before the questions; nothing was written") from None


def _say(text: str) -> None:
    sys.stderr.write(f"  {text}\n")
