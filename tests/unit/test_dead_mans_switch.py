"""A process that a signal finds in C code which keeps the interpreter's lock, so that no thread of Python's runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# What holds the lock for minutes or more, and looks at no signal unless it runs in the main thread.
_HOLDING = {
    "a regular expression": "re.match('(a+)+b', 'a' * 60)",
    "a number": "pow(3, 10**9)",
}
_IN = {"main": "hold()", "other": "thread = threading.Thread(target=hold); thread.start(); thread.join()"}
_SCRIPT = """
import os, re, sys, threading, time
{setup}
def hold():
    os.write(1, b"ready\\n")
    {holding}
try:
    {where}
except BaseException as error:
    os.write(1, type(error).__name__.encode())
    os._exit(9)
"""
_OF_GPBACKUP = """
from fsspec_gp_plugin.process import raise_on_signals
raise_on_signals(lambda interrupted: 7)
"""
_OF_PEOPLE = """
from fsspec_gp_plugin.cli import main
main.interrupt_by_keyboard()
"""


@contextmanager
def running(setup: str, holding: str, where: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose interpreter's lock is about to be held, or is held already."""
    script = _SCRIPT.format(setup=setup, holding=holding, where=where)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            wait_until_busy(process.pid)
            yield process
        finally:
            process.kill()


def wait_until_busy(pid: int) -> None:
    """Until it has computed for a tenth of a second: then it is where it stays."""
    start, until = cpu_seconds(pid), time.monotonic() + 60
    while cpu_seconds(pid) < start + 0.1 and time.monotonic() < until:
        time.sleep(0.01)


def cpu_seconds(pid: int) -> float:
    """What a process has used."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        words = file.read().rpartition(b")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.alone
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda signum: signum.name)
def test_a_command_ends_within_two_seconds_of_any_signal(signum: signal.Signals) -> None:
    with running(_OF_GPBACKUP, _HOLDING["a regular expression"], _IN["other"]) as process:
        started = time.monotonic()
        process.send_signal(signum)
        assert process.wait(20) == -signal.SIGALRM
        # Python is given its time, in case it can act; and half a second for looking.
        assert 1.7 < time.monotonic() - started < 2.5


@pytest.mark.alone
def test_a_second_signal_does_not_take_that_time_away() -> None:
    with running(_OF_GPBACKUP, _HOLDING["a number"], _IN["other"]) as process:
        started = time.monotonic()
        for signum in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            process.send_signal(signum)
            time.sleep(0.02)
        assert process.wait(20) == -signal.SIGALRM
        assert 1.7 < time.monotonic() - started < 2.5


@pytest.mark.alone
def test_ctrl_c_ends_a_command_for_people() -> None:
    with running(_OF_PEOPLE, _HOLDING["a regular expression"], _IN["other"]) as process:
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == -signal.SIGALRM
        assert time.monotonic() - started < 2.5


def test_a_regular_expression_in_the_main_thread_is_interrupted() -> None:
    with running(_OF_GPBACKUP, _HOLDING["a regular expression"], _IN["main"]) as process:
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20)[0] == b"Interrupted"
        assert process.returncode == 9


def test_undoing_after_ctrl_c_may_take_longer() -> None:
    undoing = "[time.sleep(0.1) for _ in iter(lambda: time.monotonic() < start + 3, False)]"
    script = f"""
import os, time
{_OF_PEOPLE}
try:
    os.write(1, b"ready\\n")
    time.sleep(60)
except KeyboardInterrupt:
    start = time.monotonic()
    {undoing}
    os._exit(130)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        finally:
            process.kill()


def test_without_a_signal_the_lock_may_be_held_and_the_process_stopped() -> None:
    script = """
import os, re, signal
from fsspec_gp_plugin.dead_mans_switch import DeadMansSwitch
switch = DeadMansSwitch({signal.SIGTERM}, 0.05)
signal.signal(signal.SIGTERM, lambda *_: None)
os.kill(os.getpid(), signal.SIGSTOP)
re.match("(a+)+b", "a" * 22)
os._exit(3)
"""
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        try:
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            time.sleep(0.2)  # longer than the switch gives
            process.send_signal(signal.SIGCONT)
            assert process.wait(60) == 3
        finally:
            process.kill()
