"""Tells what a deletion has come to: in the log, in a terminal, and when it ends early."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..backups.deletion_progress import DeletionProgress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .context import Context

_SECONDS_A_LOOK = 0.2
_CLEAR = "\r\x1b[K"


@contextmanager
def telling_progress(context: Context, what: str) -> Iterator[DeletionProgress]:
    """Yields the progress of the deletion inside. If that fails or is interrupted, its message says how far it came."""
    line = _TerminalLine(context.streams.stderr)
    progress = DeletionProgress(what, context.log.info, line.show)
    try:
        yield progress
    except BaseException:
        if progress.count:
            context.left_behind.append(f"{progress}; run it again to delete the rest")
        raise
    finally:
        line.clear()


class _TerminalLine:
    """One line on standard error that changes, if that is a terminal: what else reads it may wait for its end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd if fd >= 0 and os.isatty(fd) else None
        self._shown = float("-inf")

    def show(self, progress: DeletionProgress) -> None:
        """Show what it has come to, but not too often."""
        if self._fd is not None and time.monotonic() - self._shown >= _SECONDS_A_LOOK:
            self._write(f"{_CLEAR}{progress}")
            self._shown = time.monotonic()

    def clear(self) -> None:
        """Make room for a message."""
        if self._shown > 0:
            self._write(_CLEAR)

    def _write(self, text: str) -> None:
        if self._fd is not None:
            with suppress(OSError):  # the terminal is gone
                os.write(self._fd, text.encode())
