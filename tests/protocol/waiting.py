"""Waits for what has happened, where a pause of some seconds would be a guess."""

from __future__ import annotations

import fcntl
import struct
import termios
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Until the condition holds; it is a failure if that takes so long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def wait_until_read(process: subprocess.Popen[bytes]) -> None:
    """Until a process, or the agent that works for it, has read all that was written to its standard input."""
    pipe = process.stdin
    assert pipe is not None
    wait_until(lambda: struct.unpack("i", fcntl.ioctl(pipe.fileno(), termios.FIONREAD, bytes(4)))[0] == 0)
