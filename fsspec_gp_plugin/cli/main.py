"""Runs a command for people: turns errors into one line and an exit status, and handles Ctrl-C."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..commands import COMMANDS, PROGRAM
from ..dead_mans_switch import DeadMansSwitch
from ..errors import PluginError
from ..redaction import in_one_line, scrub

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_switches: list[DeadMansSwitch] = []


def main(argv: Sequence[str]) -> int:
    """Run the command that the first argument names; returns the exit status."""
    interrupt_by_keyboard()
    try:
        status = int(COMMANDS[argv[0]].load()(argv[1:]))
        sys.stdout.flush()  # the process ends without Python's own end
    except SystemExit as ended:  # --help
        sys.stdout.flush()
        return int(ended.code or 0)
    except PluginError as error:
        sys.stderr.write(in_one_line(scrub(f"{PROGRAM}: {argv[0]}: {error}")) + "\n")
        return error.exit_status
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return 130
    except BrokenPipeError:
        return 0  # the reader has what it needs
    return status


def interrupt_by_keyboard() -> None:
    """Let Ctrl-C raise KeyboardInterrupt in the main thread, so that unfinished work, such as a terminal without an
    echo, is undone. If the exception can't be raised because some code holds the interpreter's lock, the process ends
    within two seconds. Call this once, before any other thread starts.

    A signal that the caller ignores stays ignored.
    """
    _switches.append(DeadMansSwitch(()))
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(_signum: int, _frame: Any) -> None:
    for switch in _switches:
        switch.let_go()  # undoing may take longer
    raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it, the first signal raises KeyboardInterrupt, so that all is undone; a second one ends the process.

    A signal that the caller ignores stays ignored.
    """

    def interrupt(signum: int, frame: Any) -> None:
        signal.signal(signum, signal.SIG_DFL)
        _interrupt(signum, frame)

    before = {signum: signal.getsignal(signum) for signum in _SIGNALS}
    for signum, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(signum, interrupt)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
