"""Runs a command for people: turns errors into one line and an exit status, and handles Ctrl-C."""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ..commands import COMMANDS, PROGRAM
from ..dead_mans_switch import DeadMansSwitch
from ..errors import LocalFileError, PluginError, ReaderGone
from ..redaction import in_one_line, scrub

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Of an output that is full, closed or gone.
_WRITE_ERRORS = (errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC)
_switches: list[DeadMansSwitch] = []


def main(argv: Sequence[str]) -> int:
    """Run the command that the first argument names; returns the exit status."""
    _replace_closed_streams()
    interrupt_by_keyboard()
    try:
        try:
            status = int(COMMANDS[argv[0]].load()(argv[1:]))
        except SystemExit as ended:  # --help
            status = int(ended.code or 0)
        sys.stdout.flush()  # the process ends without Python's own end
    except PluginError as error:
        return _report(argv[0], error)
    except KeyboardInterrupt:
        _say("")
        return 130
    except (BrokenPipeError, ReaderGone):
        return 0  # the reader has what it needs
    except OSError as error:
        if error.errno not in _WRITE_ERRORS or error.filename is not None:
            raise
        return _report(argv[0], LocalFileError(f"can't write the output: {error.strerror}"))
    return status


def _report(command: str, error: PluginError) -> int:
    _say(in_one_line(scrub(f"{PROGRAM}: {command}: {error}")))
    return error.exit_status


def _say(line: str) -> None:
    with suppress(OSError):  # nobody can be told
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def _replace_closed_streams() -> None:
    """Open something in the place of standard streams that the caller has closed, so that no file takes their place.
    What is written to a closed standard output fails.
    """
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_WRONLY if fd == 2 else os.O_RDONLY)
            if opened != fd:
                os.dup2(opened, fd)
                os.close(opened)
            setattr(sys, name, open(fd, "w" if fd else "r", closefd=False))  # noqa: SIM115


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
