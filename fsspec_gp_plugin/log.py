"""The plugin's log: `~/gpAdminLogs/fsspec_gp_plugin_YYYYMMDD.log`, in gpbackup's line format.

A log that can't be written never fails a backup: every error here is swallowed. Each line is one write()
to a descriptor opened for appending, so hundreds of processes can share the file.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from .redaction import in_one_line, scrub

if TYPE_CHECKING:
    import logging

Verbosity = Literal["error", "info", "verbose", "debug"]
VERBOSITIES: tuple[Verbosity, ...] = ("error", "info", "verbose", "debug")

_PROGRAM = "fsspec_gp_plugin"


class Log:
    """Lines with a level, of which those above the verbosity are dropped."""

    def __init__(self, directory: str | None = None, verbosity: Verbosity = "info", *, pid: int | None = None) -> None:
        """The directory is gpAdminLogs in the user's home unless given; it is made when missing. `pid`: of whom it
        tells, if not of this process.
        """
        self.verbosity = verbosity
        self.fd: int | None = None
        self._who = self._directory = self._day = ""
        try:
            user, home = _user_and_home()
            host = os.uname().nodename.partition(".")[0]
            self._who = f"{_PROGRAM}:{user}:{host}:{pid or os.getpid():06d}"
            self._directory = directory or os.path.join(home, "gpAdminLogs")
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            self._open(time.strftime("%Y%m%d"))
        except (OSError, ValueError):
            self._who = ""

    def _open(self, day: str) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(os.path.join(self._directory, f"{_PROGRAM}_{day}.log"), flags, 0o600)
        if self.fd is None:
            self.fd = fd
        else:
            # In its place, as another thread may be writing.
            os.dup2(fd, self.fd, inheritable=False)
            os.close(fd)
        self._day = day

    def close(self) -> None:
        """Write no more."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def error(self, message: str) -> None:
        """A failure of the command."""
        self._write("ERROR", "error", message)

    def warning(self, message: str) -> None:
        """What somebody should change, though the command goes on."""
        self._write("WARNING", "info", message)

    def info(self, message: str) -> None:
        """What a command did: one line per command."""
        self._write("INFO", "info", message)

    def verbose(self, message: str) -> None:
        """What went differently from the usual."""
        self._write("DEBUG", "verbose", message)

    def debug(self, message: str) -> None:
        """Steps of a command, and what the libraries say."""
        self._write("DEBUG", "debug", message)

    def _write(self, level: str, verbosity: Verbosity, message: str) -> None:
        if self.fd is None or VERBOSITIES.index(verbosity) > VERBOSITIES.index(self.verbosity):
            return
        now = time.strftime("%Y%m%d:%H:%M:%S")
        if now[:8] != self._day:  # the agent's stays open for days
            with suppress(OSError):
                self._open(now[:8])
        line = f"{now} {self._who}-[{level}]:-{in_one_line(scrub(message))}\n"
        with suppress(OSError):  # a full disk under the log is no reason to lose a backup
            os.write(self.fd, line.encode("utf-8", "backslashreplace"))


def _user_and_home() -> tuple[str, str]:
    import pwd

    try:
        entry = pwd.getpwuid(os.geteuid())
        return entry.pw_name, os.environ.get("HOME") or entry.pw_dir
    except KeyError:  # a user id without an entry, as in containers
        return str(os.geteuid()), os.environ.get("HOME") or "/"


def take_over_library_logging(log: Log, *, keep_streams: bool = False) -> None:
    """Send what libraries log, warn or print, and exceptions that nobody catches, to our log at debug level.

    Python's own way with these is standard error, where one line makes gprestore hang. With `keep_streams` what is
    printed is let through: a person reads it.
    """
    import io
    import logging
    import sys
    import threading

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            log.debug(f"{record.name}: {record.getMessage()}")

    class Printed(io.TextIOBase):
        def write(self, text: str) -> int:
            if text.strip():
                log.debug(f"printed: {text.strip()}")
            return len(text)

    if not keep_streams:
        sys.stdout = sys.stderr = Printed()
    logging.lastResort = None
    logging.raiseExceptions = False
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers = [Handler()]
    # Libraries format debug records at a cost even when nobody reads them.
    root.setLevel(logging.INFO if log.verbosity == "debug" else logging.CRITICAL)

    previous = sys.unraisablehook

    def unraisable(unraised: Any) -> None:
        if isinstance(unraised.exc_value, Exception):
            log.debug(f"ignored in {unraised.object!r}: {unraised.exc_value!r}")
        else:
            previous(unraised)

    sys.unraisablehook = unraisable
    threading.excepthook = lambda uncaught: log.debug(f"a thread ended with {uncaught.exc_value!r}")
