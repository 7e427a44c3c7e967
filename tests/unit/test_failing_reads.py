"""An object that answers with errors is given up soon while its host can read other objects of the same backup."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from fsspec_gp_plugin.commands import COMMANDS
from fsspec_gp_plugin.errors import NotFound, Unreachable
from fsspec_gp_plugin.private import Place
from fsspec_gp_plugin.storage import failing_reads, retry, retry_policy
from fsspec_gp_plugin.storage.contract import ObjectInfo
from fsspec_gp_plugin.storage.failing_reads import Reads
from fsspec_gp_plugin.storage.retry import RetryingStore
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from tests.fakes import FakeStore
from tests.unit.clock import Clock, Waiting
from tests.unit.site import FIRST, OTHER, Site, T

ALL = 330
BAD = f"backups/20260101/{T}/gpbackup_0_{T}_1"
GOOD = f"backups/20260101/{T}/gpbackup_1_{T}_1"
OF_ANOTHER_BACKUP = f"backups/20260101/{OTHER}/gpbackup_0_{OTHER}_1"
ELSEWHERE = "elsewhere/file"
SIZE = 1000


class Refusing(FakeStore):
    """Answers requests for one object with HTTP statuses, one after another, the last again and again."""

    def __init__(self, *statuses: str) -> None:
        super().__init__(self._answer)
        self.objects = dict.fromkeys((BAD, GOOD, OF_ANOTHER_BACKUP, ELSEWHERE), b"x" * SIZE)
        self._statuses = list(statuses)
        # "stat" too; and "piece" with the second half of the object.
        self.refuses: tuple[str, ...] = ("put", "stat", "fetch", "read")
        self.piece = SIZE // 2

    def _answer(self, method: str, key: str, number: int) -> None:
        if key in (BAD, ELSEWHERE) and method in self.refuses and (method != "piece" or number):
            status = self._statuses[0]
            del self._statuses[: len(self._statuses) > 1]
            error = Unreachable(f"can't read {key}: no")
            error.http_status = status
            raise error

    def stat(self, key: str) -> ObjectInfo:
        self._answer("stat", key, 0)
        return super().stat(key)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (retry_policy, failing_reads):
        monkeypatch.setattr(module, "time", made)
    for waiting in (retry_policy, retry):
        monkeypatch.setattr(waiting, "threading", SimpleNamespace(Event=lambda: Waiting(made)))
    return made


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(FIRST, str(tmp_path / "state"))


def store(place: Place, inner: FakeStore, *, gives_up: bool = True) -> RetryingStore:
    """What one command of a host reads by."""
    return RetryingStore(inner, RetryPolicy(ALL), Reads(place, gives_up=gives_up))


def read(store: RetryingStore, key: str) -> None:
    with memoryview(bytearray(SIZE)) as into:
        _, pieces = store.fetch(key, into)
        assert sum(pieces) == SIZE


def while_reading(clock: Clock, place: Place, inner: FakeStore, key: str, at: float = 20) -> None:
    """Another command reads an object well, so many seconds from now."""
    clock.at.append((clock.now + at, lambda: read(store(place, inner, gives_up=False), key)))


def waited(clock: Clock, failing: RetryingStore, key: str = BAD) -> tuple[int, str]:
    """How many seconds a read goes on that fails, and what it says at the end."""
    began = clock.now
    with pytest.raises(Unreachable) as told:
        read(failing, key)
    return round(clock.now - began), str(told.value)


def notes(place: Place) -> list[str]:
    return os.listdir(Path(place.path, "failing_reads"))


@pytest.mark.parametrize(("status", "seconds"), [("500", 30), ("502", 30), ("504", 30), ("503", 120), ("429", 120)])
def test_an_object_is_given_up_while_others_can_be_read(clock: Clock, place: Place, status: str, seconds: int) -> None:
    inner = Refusing(status)
    while_reading(clock, place, inner, GOOD)
    took, told = waited(clock, store(place, inner))
    assert took == seconds
    assert told.startswith(f"can't read {BAD}: no; tried ")
    assert told.endswith(
        f" times in {seconds} s: HTTP status {status}; other objects of this backup can be read, so this one is given "
        f"up after {seconds} s"
    )
    assert notes(place) == []


@pytest.mark.parametrize("key", [BAD, OF_ANOTHER_BACKUP, None])
def test_nothing_is_given_up_for_what_is_read_of_anything_else(clock: Clock, place: Place, key: str | None) -> None:
    inner = Refusing("500")
    if key is not None:
        while_reading(clock, place, Refusing("500") if key != BAD else FakeStoreWith(BAD), key)
    took, told = waited(clock, store(place, inner))
    assert (took, "given up" in told) == (ALL, False)
    assert notes(place) == []


class FakeStoreWith(FakeStore):
    """Holds one object."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.objects[key] = b"x" * SIZE


def test_what_was_read_before_the_failure_began_counts_for_nothing(clock: Clock, place: Place) -> None:
    inner = Refusing("500")
    while_reading(clock, place, inner, GOOD, at=0)
    clock.pass_by(0)
    assert waited(clock, store(place, inner))[0] == ALL


def test_an_object_that_can_be_read_again_in_time_is_no_failure(clock: Clock, place: Place) -> None:
    inner = Refusing("500")
    while_reading(clock, place, inner, GOOD)
    clock.at.append((clock.now + 25, lambda: setattr(inner, "refuses", ())))
    read(store(place, inner), BAD)
    assert notes(place) == []


def test_others_that_are_read_late_end_it_late(clock: Clock, place: Place) -> None:
    inner = Refusing("500")
    while_reading(clock, place, inner, GOOD, at=200)
    assert 200 <= waited(clock, store(place, inner))[0] <= 223


@pytest.mark.parametrize("status", ["", "408", "499"])
def test_what_is_no_answer_about_the_object_is_waited_for_as_ever(clock: Clock, place: Place, status: str) -> None:
    inner = Refusing(status)
    while_reading(clock, place, inner, GOOD)
    assert waited(clock, store(place, inner))[0] == ALL
    assert not Path(place.path).exists()


def test_a_broken_connection_in_between_starts_the_30_seconds_anew(clock: Clock, place: Place) -> None:
    inner = Refusing(*["500"] * 5, "", "500")
    while_reading(clock, place, inner, GOOD, at=36)
    took, told = waited(clock, store(place, inner))
    # The fifth pause is 3.2 s and the sixth 6.4 s, half more or less each.
    assert 30 + 4 < took < 30 + 20
    assert "given up after 30 s" in told


def test_progress_in_an_object_starts_the_30_seconds_anew(clock: Clock, place: Place) -> None:
    """It goes on at its own last byte."""
    inner = Refusing("500")
    inner.refuses = ("fetch",)
    began = clock.now
    halves: list[float] = []

    def give_one_half() -> None:
        inner.refuses = ("piece", "read")
        halves.append(clock.now - began)
        while_reading(clock, place, inner, GOOD, at=16)

    clock.at.append((clock.now + 12, give_one_half))
    took, told = waited(clock, store(place, inner))
    assert "in 30 s: HTTP status 500" in told
    assert took == pytest.approx(halves[0] + 30, abs=1)
    assert inner.calls[-1] == ("read", BAD, SIZE // 2)


@pytest.mark.parametrize("how", ["size", "checksum"])
def test_the_small_requests_of_a_read_are_given_up_as_well(clock: Clock, place: Place, how: str) -> None:
    inner = Refusing("500")
    inner.refuses = ("stat", "crc32c")
    while_reading(clock, place, inner, GOOD)
    failing = store(place, inner)
    with pytest.raises(Unreachable, match="given up after 30 s"):
        failing.stat(BAD) if how == "size" else failing.crc32c(ObjectInfo(BAD, SIZE, None))


def test_an_upload_is_never_given_up(clock: Clock, place: Place) -> None:
    inner = Refusing("500")
    while_reading(clock, place, inner, GOOD)
    began = clock.now
    with pytest.raises(Unreachable, match="tried") as told:
        store(place, inner).put(BAD, memoryview(b"x"))
    assert round(clock.now - began) == ALL
    assert "given up" not in str(told.value)


def test_an_object_of_no_backup_is_waited_for_as_ever(clock: Clock, place: Place) -> None:
    inner = Refusing("500")
    while_reading(clock, place, inner, GOOD)
    assert waited(clock, store(place, inner), ELSEWHERE)[0] == ALL


def test_a_failure_that_passes_soon_leaves_no_note(clock: Clock, place: Place) -> None:
    inner = Refusing("503")
    clock.at.append((clock.now + 1, lambda: setattr(inner, "refuses", ())))
    read(store(place, inner), BAD)
    assert not Path(place.path).exists()


@pytest.mark.parametrize("error", [NotFound, KeyboardInterrupt])
def test_a_read_that_ends_otherwise_leaves_no_note(clock: Clock, place: Place, error: type[BaseException]) -> None:
    inner = Refusing("500")

    def end() -> None:
        assert len(notes(place)) == 1

        def answer(*_: object) -> None:
            raise error("enough")

        inner._before = answer

    clock.at.append((clock.now + 20, end))
    with pytest.raises(error):
        read(store(place, inner), BAD)
    assert notes(place) == []


def test_a_note_that_somebody_removed_is_made_again(clock: Clock, place: Place) -> None:
    inner = Refusing("500")

    def remove() -> None:
        for one in notes(place):
            Path(place.path, "failing_reads", one).unlink()

    while_reading(clock, place, inner, GOOD, at=15)
    clock.at.append((clock.now + 20, remove))
    while_reading(clock, place, inner, GOOD, at=80)
    took, told = waited(clock, store(place, inner))
    assert 80 <= took <= 80 + 23
    assert "given up after 30 s" in told
    assert notes(place) == []


def test_a_command_that_ends_while_its_threads_read_leaves_no_note(clock: Clock, place: Place) -> None:
    inner = Refusing("500")
    failing = store(place, inner)
    left: list[list[str]] = []

    def end() -> None:
        assert len(notes(place)) == 1
        failing.stop_waiting()
        left.append(notes(place))

    clock.at.append((clock.now + 20, end))
    waited(clock, failing)
    assert left == [[]]
    assert notes(place) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_only_restores_give_objects_up(command: str, tmp_path: Path) -> None:
    site = Site(tmp_path, FakeStore(), FakeStore(), f"state_directory: {tmp_path / 'state'}")
    found = site.context(command).targets.first(ALL)
    assert isinstance(found, RetryingStore)
    assert found._reads is not None
    failing = found._reads.began_to_fail(BAD)
    assert (failing is not None) == command.startswith("restore_")
