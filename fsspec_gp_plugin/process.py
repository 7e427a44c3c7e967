"""What a caller's process hands us, made safe: descriptors and signals.

The database's server passes on its data files and sockets; a library may print where only data may go;
a signal must abort an upload and end the process within two seconds.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import Interrupted

if TYPE_CHECKING:
    from types import FrameType

# Two seconds from the signal to the end, of which this is for aborting uploads.
ABORT_SECONDS = 1.5
_LAST_CALL_SECONDS = 1.8


@dataclass(frozen=True)
class Streams:
    """The caller's three descriptors, which only our own code writes to."""

    stdin: int
    stdout: int
    stderr: int


def take_over_descriptors() -> Streams:
    """Close inherited descriptors and keep the caller's three where no library can write to them.

    Afterwards descriptors 1 and 2 lead to /dev/null; `send_stray_output_to` points them at the log.
    A standard descriptor that the caller had closed is filled with one that can't be used for its
    purpose: reading or writing it fails, instead of hitting whatever file took its number.
    """
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with suppress(OSError):  # the one that listed the directory
                os.close(int(name))
    for fd, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDWR)):
        try:
            os.fstat(fd)
        except OSError:
            os.open("/dev/null", flags)  # takes the lowest free number, which is fd
    streams = Streams(0, _private(1), _private(2))
    null = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
    send_stray_output_to(null)
    os.close(null)
    return streams


def send_stray_output_to(fd: int) -> None:
    """Point descriptors 1 and 2, where libraries print, at a descriptor such as the log's."""
    os.dup2(fd, 1)
    os.dup2(fd, 2)


def _private(fd: int) -> int:
    copy = os.dup(fd)
    os.set_inheritable(copy, False)
    return copy


def raise_on_signals() -> None:
    """Let TERM, INT and HUP raise Interrupted in the main thread, once, and end the process soon after.

    HUP and INT stay ignored when the caller ignored them: gpbackup_helper does so with HUP to outlive
    its terminal. Signals that the caller blocked are unblocked.
    """
    stopping = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    arrived = False
    caught = [s for s in stopping if s is signal.SIGTERM or signal.getsignal(s) is not signal.SIG_IGN]

    def handle(signum: int, _frame: FrameType | None) -> None:
        nonlocal arrived
        if arrived:
            return  # the first one is being obeyed
        arrived = True
        # The main thread may sit in a call that no exception can end, such as a write to a dead mount.
        watchdog = threading.Timer(_LAST_CALL_SECONDS, os._exit, (128 + signum,))
        watchdog.daemon = True
        watchdog.start()
        raise Interrupted(signum)

    def again(signum: int) -> None:
        nonlocal arrived
        arrived = False
        signal.signal(signal.SIGALRM, lambda *_: handle(signum, None))
        signal.setitimer(signal.ITIMER_REAL, 0.01)

    def unraisable(unraised: Any) -> None:
        # A finaliser swallows whatever is raised in it; the signal must not be lost with it.
        if isinstance(unraised.exc_value, Interrupted):
            again(unraised.exc_value.signum)
        else:
            sys.__unraisablehook__(unraised)

    for signum in caught:
        signal.signal(signum, handle)
    sys.unraisablehook = unraisable
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stopping)
