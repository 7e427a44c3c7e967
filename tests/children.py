"""Programs that the tests start, which end with them, also where the tests are killed."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Becomes the program, after telling the kernel to end it with its parent.
_END_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""

# To the kernel a parent is the thread that starts a program, not its process: this one lasts as long as the tests.
_STARTER = ThreadPoolExecutor(1, "starter")


def start_child(command: Sequence[str], environment: Mapping[str, str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a program, in a session of its own, so that Ctrl-C is for the tests alone."""
    # `env` sets the environment of the program: one with wrong libraries would stop this Python.
    setting = ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]
    line = [sys.executable, "-ISc", _END_WITH_PARENT, str(os.getpid()), *setting, *command]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(line, stdin=subprocess.DEVNULL, start_new_session=True, **options)

    return _STARTER.submit(start).result()
