"""A server of the tests ends with them, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_START = """
import pathlib, sys
from tests.servers.program import Program
def ready():
    if pathlib.Path(f"/proc/{program._process.pid}/comm").read_text() != "sleep\\n":
        raise OSError("not yet")
program = Program(["sleep", "1000"], pathlib.Path(sys.argv[1]), ready)
with program:
    print(program._process.pid, flush=True)
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
def test_a_program_ends_with_the_process_that_started_it(tmp_path: Path, signum: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _START, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as tests:
        assert tests.stdout is not None
        pid = int(tests.stdout.readline())
        try:
            assert is_running(pid)
            tests.send_signal(signum)
            tests.wait(20)
            deadline = time.monotonic() + 20
            while is_running(pid):
                assert time.monotonic() < deadline, "it runs on"
                time.sleep(0.01)
        finally:
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
