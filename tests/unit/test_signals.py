"""A process that a signal finds in a call that no exception can end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

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
