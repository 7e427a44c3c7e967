"""What a store does by several requests that others do by one."""

from __future__ import annotations

import os
import signal
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
