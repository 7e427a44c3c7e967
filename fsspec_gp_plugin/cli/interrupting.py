"""Ctrl-C, and a polite request to end, while things are at the target that have to be taken back."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it, the first signal raises KeyboardInterrupt, so that all is undone; a second one ends the process.

    What the caller ignores stays ignored.
    """

    def interrupt(signum: int, _frame: Any) -> None:
        signal.signal(signum, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = {signum: signal.getsignal(signum) for signum in _SIGNALS}
    for signum, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(signum, interrupt)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
