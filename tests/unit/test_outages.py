"""A store that is away is waited for once, and not by each command anew: what a host remembers of it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin import gpbackup_process
from fsspec_gp_plugin.errors import StorageError, Unreachable
from fsspec_gp_plugin.private import Place
from fsspec_gp_plugin.process import Streams
from fsspec_gp_plugin.protocol import data, files, hooks
from fsspec_gp_plugin.storage import outages, retry, retry_policy
from fsspec_gp_plugin.storage.outages import Outages
from fsspec_gp_plugin.storage.retry import RetryingStore
from fsspec_gp_plugin.storage.retry_policy import Attempts, RetryPolicy
from tests.fakes import FakeStore
from tests.unit.clock import Clock, Waiting
from tests.unit.site import FIRST, PREFIX, Site, T

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fsspec_gp_plugin.storage.contract import ObjectInfo

ALL, SOON = 330, 30
WHY = "in 30 s, not longer, because an earlier command of this host has waited 330 s for this target in vain"
TABLE = f"/data/gpseg0/{PREFIX}gpbackup_0_{T}_16384"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (retry_policy, outages):
        monkeypatch.setattr(module, "time", made)
    for waiting in (retry_policy, retry):
        monkeypatch.setattr(waiting, "threading", SimpleNamespace(Event=lambda: Waiting(made)))
    return made


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(FIRST, str(tmp_path / "state"))


def away() -> None:
    raise Unreachable("no answer")


def waited(clock: Clock, place: Place, seconds: float = ALL, retries: int | None = None) -> tuple[int, str]:
    """How many seconds a command of a host waits for a store that stays away, and what it says at the end."""
    began = clock.now
    with pytest.raises(Unreachable) as told:
        Attempts(RetryPolicy(seconds, retries, outages=Outages(place)), Waiting(clock)).run(away)
    return round(clock.now - began), str(told.value)


def reach(place: Place) -> None:
    """A command gets what it asks for."""
    Attempts(RetryPolicy(ALL, outages=Outages(place))).run(lambda: None)


def notes(place: Place) -> list[Path]:
    return sorted(Path(place.path, "outages").iterdir())


def test_after_one_long_wait_the_commands_that_follow_wait_for_30_seconds(clock: Clock, place: Place) -> None:
    assert waited(clock, place)[0] == ALL
    seconds, told = waited(clock, place)
    assert seconds == SOON
    assert told.startswith("no answer; tried ")
    assert told.endswith(WHY)
    assert waited(clock, place)[0] == SOON


def test_whatever_reaches_the_target_ends_that(clock: Clock, place: Place) -> None:
    waited(clock, place)
    reach(place)
    assert notes(place) == []
    assert waited(clock, place)[0] == ALL


def test_a_command_that_reached_the_target_before_the_outage_ends_it_as_well(clock: Clock, place: Place) -> None:
    """As a stream that goes on while another can't."""
    streaming = RetryPolicy(ALL, outages=Outages(place))
    Attempts(streaming).run(lambda: None)
    waited(clock, place)
    Attempts(streaming).run(lambda: None)
    assert notes(place) == []


def test_a_command_that_waits_already_gives_up_when_another_has_waited_in_vain(clock: Clock, place: Place) -> None:
    clock.at.append((clock.now + 100, lambda: Outages(place).spent(ALL)))
    seconds, told = waited(clock, place)
    assert 100 <= seconds <= 100 + 23  # one pause, at the most
    assert "waited 330 s for this target in vain" in told


@pytest.mark.parametrize(("seconds", "retries"), [(ALL, 3), (SOON, None), (20, None), (8, None)])
def test_who_has_not_waited_for_long_says_nothing_to_the_others(
    clock: Clock, place: Place, seconds: float, retries: int | None
) -> None:
    waited(clock, place, seconds, retries)
    assert not Path(place.path).exists()
    assert waited(clock, place)[0] == ALL


@pytest.mark.parametrize("seconds", [20, 8])
def test_who_waits_for_a_shorter_time_does_so_as_ever(clock: Clock, place: Place, seconds: float) -> None:
    waited(clock, place)
    assert waited(clock, place, seconds)[0] == seconds


def test_another_target_is_waited_for_as_ever(clock: Clock, place: Place) -> None:
    waited(clock, place)
    assert waited(clock, place._replace(url="s3://another"))[0] == ALL


def _is_torn(place: Place) -> None:
    notes(place)[0].write_bytes(b"\xff torn")


@pytest.mark.parametrize("which", ["an hour old", "of another boot", "torn"])
def test_a_note_that_no_longer_counts_is_removed(
    clock: Clock, place: Place, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited(clock, place)
    if which == "an hour old":
        clock.pass_by(3600)
    elif which == "torn":
        _is_torn(place)
    else:
        monkeypatch.setattr(gpbackup_process, "boot_id", lambda: "another")
    assert Outages(place).limit(ALL) == (ALL, "")
    assert notes(place) == []


def test_a_host_that_can_note_nothing_waits_each_time_and_says_why(clock: Clock, place: Place) -> None:
    Path(place.path).mkdir(mode=0o755)
    Path(place.path, "outages").mkdir()
    Path(place.path, "outages").chmod(0o755)
    told: list[str] = []
    for _ in range(2):
        began = clock.now
        with pytest.raises(Unreachable, match="no answer"):
            Attempts(RetryPolicy(ALL, outages=Outages(place, told.append)), Waiting(clock)).run(away)
        assert round(clock.now - began) == ALL
    assert len(told) == 2
    assert all("can't be noted" in one and "mode 0700" in one for one in told)


def test_without_a_note_a_look_costs_one_system_call_a_second(
    clock: Clock, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    lexists = os.path.lexists

    def look(path: str) -> bool:
        looked.append(path)
        return lexists(path)

    monkeypatch.setattr(os.path, "lexists", look)
    monkeypatch.setattr(Place, "open_directory", lambda *_, **__: pytest.fail("more than one"))
    command = RetryPolicy(ALL, outages=Outages(place))
    for _ in range(100):
        Attempts(command).run(lambda: None)
    assert len(looked) == 1
    clock.pass_by(1)
    Attempts(command).run(lambda: None)
    assert len(looked) == 2


class Leaving(FakeStore):
    """A store that can go away."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.is_away = False

    def _answer(self, method: str, key: str, _: int = 0) -> None:
        if self.is_away:
            raise Unreachable(f"can't {method} {key}: no answer")

    def stat(self, key: str) -> ObjectInfo:
        self._answer("stat", key)
        return super().stat(key)

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        self._answer("list", prefix)
        return super().find(prefix, unfinished=unfinished)


class Town:
    """A host whose commands have a target, in memory, that can go away, and a replica."""

    def __init__(self, folder: Path, clock: Clock, *options: str) -> None:
        self._clock = clock
        self.store = Leaving()
        self.site = Site(folder, self.store, FakeStore(), f"state_directory: {folder / 'state'}", *options)

    def call(self, command: str, action: Callable[..., None], *arguments: str) -> tuple[int, str]:
        """The seconds that a command took, and its error."""
        began = self._clock.now
        error = ""
        source, sink = os.open("/dev/null", os.O_RDONLY), os.open("/dev/null", os.O_WRONLY)
        context = self.site.context(command, sink)
        context.streams = Streams(source, sink, 2)
        try:
            action(context, *arguments)
        except StorageError as raised:
            error = str(raised)
        finally:
            context.close(1)
            os.close(source)
            os.close(sink)
        return round(self._clock.now - began), error

    def restore(self) -> tuple[int, str]:
        return self.call("restore_data", data.restore_data, TABLE)

    def backup(self) -> tuple[int, str]:
        return self.call("backup_data", data.backup_data, TABLE)

    def hook(self, name: str) -> tuple[int, str]:
        return self.call(name, getattr(hooks, name), f"/data/gpseg-1/{PREFIX}", "master", "-1")


@pytest.fixture
def town(tmp_path: Path, clock: Clock) -> Town:
    return Town(tmp_path, clock)


def test_a_backup_whose_store_is_gone_waits_once(town: Town, tmp_path: Path) -> None:
    """As gpbackup does: it stores its report, and calls the cleanup hooks, all the same."""
    report = tmp_path / f"gpseg-1/{PREFIX}gpbackup_{T}_report"
    report.parent.mkdir(parents=True)
    report.write_text("report")
    assert town.backup() == (0, "")
    town.store.is_away = True
    seconds, error = town.backup()
    assert seconds == ALL
    assert "not longer" not in error
    seconds, error = town.call("backup_file", files.backup_file, str(report))
    assert (seconds, error.endswith(WHY)) == (SOON, True)
    seconds, error = town.hook("cleanup_plugin_for_backup")  # its manifest
    assert (seconds, WHY in error) == (SOON, True)
    town.store.is_away = False
    assert town.call("backup_file", files.backup_file, str(report)) == (0, "")
    town.store.is_away = True
    assert town.backup()[0] == ALL


def test_a_setup_hook_that_succeeds_ends_it(town: Town) -> None:
    town.store.is_away = True
    assert town.backup()[0] == ALL
    town.store.is_away = False
    assert town.hook("setup_plugin_for_restore") == (0, "")
    town.store.is_away = True
    assert town.backup()[0] == ALL


def test_a_replica_is_used_all_the_same_and_waited_for_as_ever(tmp_path: Path, clock: Clock) -> None:
    town = Town(tmp_path, clock, "checksum: off")
    town.store.is_away = True
    town.backup()
    # Twenty seconds for the first target, and then the replica.
    assert town.restore() == (20, "")
    second = town.site.context("restore_data").targets.replica(ALL)
    assert isinstance(second, RetryingStore)
    assert second.policy.outages is not None
    assert second.policy.outages.limit(ALL) == (ALL, "")
