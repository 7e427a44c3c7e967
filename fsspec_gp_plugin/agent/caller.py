"""What a thread of the agent takes from the caller for the time of one call: its descriptors and its nice value."""

from __future__ import annotations

import os
import stat
from contextlib import suppress


def unblocked(fd: int, flags: int) -> int:
    """A pipe, opened anew so that waiting for it is ours to end; others that have it open don't notice. Anything else
    as it is.
    """
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        with suppress(OSError):  # it belongs to another user
            return os.open(f"/proc/self/fd/{fd}", flags | os.O_NONBLOCK | os.O_CLOEXEC)
    return fd


def nice_value() -> int:
    """That of this thread: the kernel has one for each."""
    return os.getpriority(os.PRIO_PROCESS, 0)


def be_as_nice_as(pid: int) -> None:
    """Let this thread, and those that it starts, have the nice value of a process, if that is higher. There is no way
    back for an ordinary user.
    """
    with suppress(OSError):  # the process has gone
        wanted = os.getpriority(os.PRIO_PROCESS, pid)
        if wanted > nice_value():
            os.setpriority(os.PRIO_PROCESS, 0, wanted)
