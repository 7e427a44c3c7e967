"""What the tests start, a server or an agent, ends with them, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Starts a program in a thread that ends at once, though to the kernel such a thread is its parent.
_START = """
import os, threading, time
from tests.children import start_child
def start():
    program = start_child(["sleep", "1000"], {"PATH": os.environ["PATH"]})
    while open(f"/proc/{program.pid}/comm").read() != "sleep\\n":
        time.sleep(0.01)
    print(program.pid, flush=True)
thread = threading.Thread(target=start)
thread.start()
thread.join()
while os.path.exists(f"/proc/self/task/{thread.native_id}"):
    time.sleep(0.01)
print("started", flush=True)
input()
"""


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_a_program_ends_with_the_process_that_started_it(signum: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _START],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as tests:
        assert tests.stdout is not None
        pid = int(tests.stdout.readline())
        try:
            assert tests.stdout.readline() == "started\n"
            for _ in range(10):
                assert is_running(pid), "it ended with the thread that started it"
                time.sleep(0.01)
            tests.send_signal(signum)
            tests.wait(20)
            deadline = time.monotonic() + 20
            while is_running(pid):
                assert time.monotonic() < deadline, "it runs on"
                time.sleep(0.01)
        finally:
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
