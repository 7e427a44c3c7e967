"""Ctrl-C in commands for people, and a polite request to end while things are at the target that have to be taken
back.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..dead_mans_switch import DeadMansSwitch

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_switches: list[DeadMansSwitch] = []


def interrupt_by_keyboard() -> None:
    """Let Ctrl-C raise KeyboardInterrupt in the main thread, so that what is under way is undone, such as a terminal
    without an echo. Where that can't be, as some code keeps the interpreter's lock, the process ends within two
    seconds. To be called once, before any other thread is started.

    What the caller ignores stays ignored.
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

    What the caller ignores stays ignored.
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
