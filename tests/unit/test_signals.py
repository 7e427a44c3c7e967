"""A process that a signal finds in a call that no exception can end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from fsspec_gp_plugin.call import Call
from fsspec_gp_plugin.errors import Interrupted
from fsspec_gp_plugin.process import Streams

# The main thread computes for minutes, in a function that looks at no signal.
_STUCK = """
import hashlib, threading, time
from fsspec_gp_plugin.process import raise_on_signals
def last_words(interrupted):
    {last_words}
raise_on_signals(last_words)
threading.Timer(0.3, print, ["ready"], {{"flush": True}}).start()
hashlib.pbkdf2_hmac("sha256", b"", b"", 1 << 30)
"""


@pytest.mark.alone
@pytest.mark.parametrize(
    ("last_words", "status"),
    [("return 70 + interrupted.signum", 70 + signal.SIGTERM), ("time.sleep(60)", 128 + signal.SIGTERM)],
)
def test_it_ends_within_two_seconds_with_the_status_of_its_last_words(last_words: str, status: int) -> None:
    script = _STUCK.format(last_words=last_words)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGTERM)
            started = time.monotonic()
            assert process.wait(20) == status
            # Two seconds, and half a one for looking.
            assert time.monotonic() - started < 2.5
        finally:
            process.kill()


def test_a_signal_that_some_code_turned_into_its_own_error_is_still_a_signal() -> None:
    class Interrupting:
        def __set_name__(self, owner: type, name: str) -> None:
            raise Interrupted(signal.SIGTERM)

    read, write = os.pipe()
    try:
        try:
            type("Made", (), {"attribute": Interrupting()})
        except RuntimeError as error:  # up to Python 3.11
            caught: BaseException = error
        except Interrupted as error:
            caught = RuntimeError("of an importing library")
            caught.__cause__ = error
        assert Call(Streams(0, 1, write), "backup_data").report_error(caught) == 128 + signal.SIGTERM
        assert os.read(read, 1000) == b"fsspec_gp_plugin: backup_data: interrupted by SIGTERM\n"
    finally:
        os.close(read)
        os.close(write)
