"""Runs one call of a command, and reports how it ended.

An error becomes one line and an exit status here; for the commands for people in `cli/main.py`.
"""

from __future__ import annotations

import _thread
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from . import gzip_header
from .commands import FOR_GPBACKUP, FOR_PEOPLE, PROGRAM
from .errors import Interrupted, PluginError, ReaderGone, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .log import Log
    from .process import Streams
    from .protocol.context import Context
    from .protocol.targets import Resources

# For the aborts of what other threads were sending when a command fails.
_ABORT_SECONDS = 30.0
_ABORT_SECONDS_AFTER_SIGNAL = 1.2
# For the reader of standard error to make room; the clients of the agent wait as long.
_WRITE_SECONDS = 0.2
_PIPE_BUF = 4096


class Call:
    """One run of one command."""

    def __init__(
        self,
        streams: Streams,
        name: str,
        *,
        log: Log | None = None,
        resources: Resources | None = None,
        prepare: Callable[[Context], None] = lambda _: None,
    ) -> None:
        """`log` and `resources` are made for this call unless they are given. `prepare` is called before the command,
        when the configuration is known.
        """
        self._prepare = prepare
        self._streams = streams
        self._name = name
        self._log = log
        self._resources = resources
        self._context: Context | None = None
        self._needs_gzip_header = False
        self._telling = _thread.allocate_lock()

    def run(self, arguments: Sequence[str]) -> Context:
        """Find the command and run it; return its context. Everything unfinished is undone at the end."""
        if self._log is None:
            from .log import Log

            self._log = Log()
        self._needs_gzip_header = gzip_header.is_needed(self._name, (*arguments, "", "")[1])
        command = FOR_GPBACKUP.get(self._name)
        if command is None:
            raise UsageError(f"unknown command{_nearest(self._name)}")
        command.check(arguments)
        from .protocol.context import Context

        self._context = Context(self._streams, self._log, self._name, arguments[0], resources=self._resources)
        patience = _ABORT_SECONDS
        try:
            function = command.load()
            # The configuration first, so that its verbosity and its secrets are known to all that follows.
            _ = self._context.config
            self._prepare(self._context)
            work = partial(function, self._context, *arguments[1:])
            if command.is_hook:
                # Its requests don't check the alarm; a request under way ends first.
                self._context.wait_for(work)
            else:
                work()
        except Interrupted:
            patience = _ABORT_SECONDS_AFTER_SIGNAL
            raise
        finally:
            try:
                self._context.close(patience)
            except Interrupted:
                self._context.close(_ABORT_SECONDS_AFTER_SIGNAL)
                raise
        return self._context

    def report_error(self, error: BaseException) -> int:
        """Report the error that ended the call; returns the exit status."""
        error = _interruption_behind(error) or error
        if isinstance(error, ReaderGone):
            if self._log is not None:
                self._log.info(f"{self._name} ended early: the reader of its output has what it needs")
            return 0
        if isinstance(error, Interrupted):
            if self._context is not None:
                if self._context.finished:
                    return 0
                self._context.end_at_once()
            import signal

            self._report(f"interrupted by {signal.Signals(error.signum).name}")
            return 128 + error.signum
        if isinstance(error, PluginError):
            self._report(str(error))
            return error.exit_status
        if isinstance(error, MemoryError) or str(error) == "can't start new thread":
            self._report(
                "out of memory or threads; smaller memory_limit, backup_max_concurrent_requests or "
                "restore_max_concurrent_requests need less"
            )
            return 1
        import traceback

        from .redaction import scrub

        if self._log is not None:
            # Before its lines are joined, so that a secret of several lines is known.
            self._log.error(" | ".join(scrub("".join(traceback.format_exception(error))).splitlines()))
        self._report(f"unexpected {type(error).__name__}: {error}; the log has the details")
        return 1

    def _report(self, message: str) -> None:
        """Tell a failure: one line on the caller's standard error, and one in the log."""
        from .redaction import in_one_line, scrub

        # Two threads may come here, when the main thread wakes at the last moment.
        if not self._telling.acquire(blocking=False):
            return
        if self._context is not None and self._context.left_behind:
            message += f"; {self._context.left_behind[0]}"
        if self._needs_gzip_header and not (self._context is not None and self._context.has_given_bytes):
            gzip_header.give(self._streams.stdout)
        line = " ".join(in_one_line(scrub(f"{PROGRAM}: {self._name}: {message}")).split())
        # Before the log, which may lie on a file system that hangs.
        with suppress(OSError):  # nobody listens
            if _is_writable(self._streams.stderr):
                # More might not fit into a pipe that has room.
                short = line.encode(errors="backslashreplace")[: _PIPE_BUF - 1].decode(errors="ignore")
                os.write(self._streams.stderr, (short + "\n").encode())
        if self._log is not None:
            self._log.error(f"{self._name} failed: {message}")


def _nearest(name: str) -> str:
    """The end of the message about an unknown command: the one that was probably meant, or where to look."""
    import difflib

    # A command that deletes is never suggested.
    harmless = [one for one, command in (FOR_GPBACKUP | FOR_PEOPLE).items() if not command.deletes]
    close = difflib.get_close_matches(name, [*harmless, "plugin_api_version", "--version", "--help"], n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; `{PROGRAM} --help` lists the commands"


def _is_writable(fd: int) -> bool:
    import select

    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    return bool(poller.poll(_WRITE_SECONDS * 1000))


def _interruption_behind(error: BaseException) -> Interrupted | None:
    """The signal that led to an error. Some code turns whatever is raised in it into an error of its own: so does
    Python, up to 3.11, while a class is made.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, Interrupted):
            return current
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return None
