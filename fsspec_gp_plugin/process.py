"""Makes safe what the calling process passes on: descriptors and signals.

The database's server passes on its data files and sockets; a library may print where only data may go;
a signal must abort an upload and end the process within two seconds.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from .dead_mans_switch import DeadMansSwitch
from .errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# Within two seconds of a signal the process has ended.
_LAST_CALL_SECONDS = 1.7
_LAST_WORDS_SECONDS = 0.2
# Ends system calls of the main thread. Any other program may send the two that are for users.
_WAKES = signal.SIGRTMAX


class Streams(NamedTuple):
    """The caller's three descriptors, which only our own code writes to."""

    stdin: int
    stdout: int
    stderr: int


def take_over_descriptors() -> Streams:
    """Close inherited descriptors and keep the caller's three where no library can write to them.

    Afterwards descriptors 1 and 2 lead to /dev/null.
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
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)
    return streams


def _private(fd: int) -> int:
    copy = os.dup(fd)
    os.set_inheritable(copy, False)
    return copy


def raise_on_signals(last_words: Callable[[Interrupted], int], *, pause: float = 0.0) -> None:
    """Let TERM, INT and HUP raise Interrupted in the main thread, once, and end the process soon after.

    To be called before any other thread is started. A thread of its own takes the signals and passes the
    first on to the main thread alone: the kernel gives a signal to any thread, and then the main thread's
    system call is not interrupted and Python's handler waits for ever. Where some code keeps the interpreter's lock,
    so that none of this runs, SIGALRM ends the process.

    `last_words` is called, in another thread, when the main thread did not end the process in time: it sits
    in a call that no exception can end, such as a write to a dead mount or a request to a store that hangs.
    It gives the exit status, if it returns soon: its log may lie on the same dead mount. `pause`: how many seconds it
    sleeps at the most.

    HUP and INT stay ignored when the caller ignored them: gpbackup_helper does so with HUP to outlive
    its terminal. Signals that the caller blocked count all the same.
    """
    stopping = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    taken = {s for s in stopping if s is signal.SIGTERM or signal.getsignal(s) is not signal.SIG_IGN}
    main = threading.get_ident()
    received: list[int] = []
    raised = False

    def pass_on() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, taken)
        signum = switch.wait()
        received.append(signum)
        deadline = time.monotonic() + _LAST_CALL_SECONDS - pause
        while time.monotonic() < deadline:
            # Again and again: one that arrives just before a system call begins does not interrupt it.
            if not raised:
                signal.pthread_kill(main, _WAKES)
            time.sleep(0.02)
        threading.Thread(target=lambda: os._exit(last_words(Interrupted(signum))), daemon=True).start()
        time.sleep(_LAST_WORDS_SECONDS + pause)
        os._exit(128 + signum)

    def interrupt(signum: int, _frame: FrameType | None) -> None:
        nonlocal raised
        # Python calls it, in the main thread, for the signal itself too, at times before the other thread knows of it.
        if not raised and (received or signum in taken):
            raised = True
            raise Interrupted(received[0] if received else signum)

    previous = sys.unraisablehook

    def unraisable(unraised: Any) -> None:
        nonlocal raised
        # A finaliser swallows whatever is raised in it; the signal must not be lost with it.
        if isinstance(unraised.exc_value, Interrupted):
            raised = False
        else:
            previous(unraised)

    sys.unraisablehook = unraisable
    switch = DeadMansSwitch(taken)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {_WAKES})
    for signum in (_WAKES, *taken):
        signal.signal(signum, interrupt)
    threading.Thread(target=pass_on, name="signals", daemon=True).start()
