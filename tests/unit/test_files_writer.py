"""The writer of an fsspec store, on a filesystem that answers when a test lets it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

from fsspec_gp_plugin.errors import StorageError
from fsspec_gp_plugin.storage.files import working_file
from fsspec_gp_plugin.storage.files.dialect import Dialect
from fsspec_gp_plugin.storage.files.store import FsspecStore
from tests.unit.clock import Clock

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.storage.files.output import Output


class SlowToCreate(Dialect):
    """Makes a file after its client has gone, as servers do."""

    def __init__(self) -> None:
        super().__init__(lambda: fsspec.filesystem("file", skip_instance_cache=True))
        self.requested = threading.Event()
        self.late = threading.Event()

    def create(self, fs: Any, path: str) -> Output:
        self.requested.set()
        self.late.wait(30)
        return super().create(fs, path)


def test_an_abort_that_can_not_know_whether_a_file_appears_says_so(tmp_path: Path) -> None:
    dialect = SlowToCreate()
    writer = FsspecStore(dialect, f"{tmp_path}/root").begin("folder/key")
    errors: list[Exception] = []

    def write() -> None:
        try:
            writer.write(1, memoryview(b"data"))
        except StorageError as error:
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    assert dialect.requested.wait(10)
    with pytest.raises(StorageError, match="was being made, so it may still appear"):
        writer.abort()
    dialect.late.set()
    thread.join(30)
    assert len(errors) == 1
    # Whoever made it late, and still runs, takes it back.
    assert [path for path in (tmp_path / "root").rglob("*") if path.is_file()] == []


class LateServer(Dialect):
    """Makes a file some time after its client has broken off: at the request number `late` to remove it. Looks whose
    number is in `unreachable` get no answer.
    """

    may_appear_later = True

    def __init__(self, made: Path, late: int, unreachable: tuple[int, ...] = ()) -> None:
        super().__init__(lambda: fsspec.filesystem("file", skip_instance_cache=True))
        self._made = made
        self._awaited = late
        self._unreachable = unreachable
        self.looks = 0

    def remove(self, fs: Any, path: str) -> None:
        if path.endswith(".part"):
            self.looks += 1
            if self.looks == 1:
                os.rename(path, self._made)
            elif self.looks in self._unreachable:
                raise ConnectionResetError("reset by the test")
            elif self.looks == self._awaited:
                os.rename(self._made, path)
        super().remove(fs, path)


class SleepingClock(Clock):
    def sleep(self, seconds: float) -> None:
        self.pass_by(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = SleepingClock()
    monkeypatch.setattr(working_file, "time", made)
    return made


def aborted(dialect: Dialect, folder: Path) -> FsspecStore:
    """A store with an aborted upload."""
    store = FsspecStore(dialect, f"{folder}/root")
    writer = store.begin("folder/key")
    writer.write(1, memoryview(b"data"))
    writer.abort()
    return store


# The fifth look is an abort's last.
@pytest.mark.parametrize(("late", "unreachable"), [(3, ()), (6, ()), (7, (6,))], ids=["soon", "late", "unreachable"])
def test_a_file_that_a_server_makes_after_its_client_has_gone_is_removed(
    tmp_path: Path, clock: Clock, late: int, unreachable: tuple[int, ...]
) -> None:
    del clock
    dialect = LateServer(tmp_path / "made", late, unreachable)
    store = aborted(dialect, tmp_path)
    for _ in unreachable:
        store.delete(["folder/other"])
    store.delete(["folder/other"])
    assert dialect.looks == late
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_that_never_comes_is_looked_for_once_a_deletion_and_for_a_minute(tmp_path: Path, clock: Clock) -> None:
    dialect = LateServer(tmp_path / "made", 0)
    store = aborted(dialect, tmp_path)
    looks = []
    for seconds in (1, 40, 40, 40):
        clock.pass_by(seconds)
        store.delete(["folder/other"])
        looks.append(dialect.looks)
    assert looks == [6, 7, 8, 8]


class SlowServer(Dialect):
    """Removes the file of a request that was broken off, and then carries out that request, `times` times."""

    may_appear_later = True

    def __init__(self, times: int) -> None:
        super().__init__(lambda: fsspec.filesystem("file", skip_instance_cache=True))
        self._times = times

    def remove(self, fs: Any, path: str) -> None:
        super().remove(fs, path)
        if path.endswith(".part") and self._times:
            self._times -= 1
            with open(path, "wb"):
                pass


def test_a_file_that_a_request_makes_again_after_its_removal_is_removed(tmp_path: Path, clock: Clock) -> None:
    del clock
    aborted(SlowServer(1), tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
