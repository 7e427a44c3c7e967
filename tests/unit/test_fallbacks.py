"""What a store does by several requests that others do by one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from fsspec_gp_plugin.errors import AccessDenied, Interrupted, StorageError, Unreachable
from fsspec_gp_plugin.storage.fallbacks import delete_side_by_side, put_by_writer
from tests.fakes import FakeStore


@pytest.mark.parametrize("error", [Unreachable("away"), AccessDenied("denied"), StorageError("full"), Interrupted(15)])
@pytest.mark.parametrize("step", ["write", "complete"])
def test_what_went_wrong_is_told_before_what_could_not_be_taken_back(step: str, error: BaseException) -> None:
    def before(method: str, _key: str, _number: int) -> None:
        if method == step:
            raise error
        if method == "abort":
            raise StorageError("read-only")

    with pytest.raises(type(error)) as caught:
        put_by_writer(FakeStore(before).begin("key"), memoryview(b"data"))
    told = "" if isinstance(error, Interrupted) else "; the unfinished upload could not be removed: read-only"
    assert str(caught.value) == f"{error}{told}"


def test_a_signal_does_not_wait_for_the_requests_of_a_deletion() -> None:
    go_on = threading.Event()
    ended: list[bool] = []

    def interrupt(signum: int, _frame: object) -> None:
        raise Interrupted(signum)

    def hang(key: str) -> None:
        if key == "b":
            os.kill(os.getpid(), signal.SIGUSR1)
        ended.append(go_on.wait(20))

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interrupted):
            delete_side_by_side(["a", "b"], hang, str)
        assert ended == []
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        go_on.set()
        signal.signal(signal.SIGUSR1, before)


REFUSED = """
import resource, threading, time
from fsspec_gp_plugin.storage.fallbacks import delete_side_by_side

resource.setrlimit(resource.RLIMIT_AS, (2 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))
threading.stack_size(512 << 20)  # there is memory for no more than three such threads
deleted = set()

def delete(key):
    time.sleep(0.02)  # so that one thread has not done all before the next is asked for
    deleted.add(key)

assert delete_side_by_side(map(str, range(100)), delete, str) == []
print(len(deleted))
"""


def test_a_deletion_goes_on_with_the_threads_that_it_gets() -> None:
    line = [sys.executable, "-W", "ignore", "-c", REFUSED]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "100\n"), done.stderr
