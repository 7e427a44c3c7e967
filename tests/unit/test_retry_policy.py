"""How long a store that is away is waited for, in which steps, and by which commands; on a clock of the tests' own."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.commands import COMMANDS
from fsspec_gp_plugin.errors import Unreachable
from fsspec_gp_plugin.log import Log
from fsspec_gp_plugin.process import Streams
from fsspec_gp_plugin.protocol.context import Context
from fsspec_gp_plugin.protocol.supplies import Supplies
from fsspec_gp_plugin.protocol.targets import OUTAGE_SECONDS
from fsspec_gp_plugin.storage import retry_policy
from fsspec_gp_plugin.storage.http import answer
from fsspec_gp_plugin.storage.retry import RetryingStore
from fsspec_gp_plugin.storage.retry_policy import UNATTENDED_SECONDS, Attempts, RetryPolicy
from tests.fakes import FakeStore
from tests.unit.clock import Clock, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fsspec_gp_plugin.config.loading import Config

DATA_SECONDS, UNATTENDED = 330, 120


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(retry_policy, "time", made)
    monkeypatch.setattr(answer, "time", made)
    return made


def outlast(clock: Clock, policy: RetryPolicy, answer_seconds: float = 0.0) -> Waiting:
    """The pauses of one request to a store that stays away; each attempt takes some seconds."""
    waiting = Waiting(clock)

    def attempt() -> None:
        clock.now += answer_seconds
        raise Unreachable("no answer")

    with pytest.raises(Unreachable, match="tried"):
        Attempts(policy, waiting).run(attempt)
    return waiting


@pytest.mark.parametrize("outage", [OUTAGE_SECONDS, UNATTENDED_SECONDS, 8.0])
def test_the_last_attempt_comes_when_the_outage_ends(clock: Clock, outage: float) -> None:
    """Not up to 22 seconds later: other programs count on the number."""
    for _ in range(50):
        began = clock.now
        outlast(clock, RetryPolicy(outage))
        assert outage <= clock.now - began <= outage + 0.11


def test_an_attempt_that_takes_long_counts_as_well(clock: Clock) -> None:
    began = clock.now
    outlast(clock, RetryPolicy(60.0), answer_seconds=25.0)
    # The first failure begins the outage, and the attempt that is under way when it ends is the last.
    assert 60.0 <= clock.now - began - 25.0 <= 60.0 + 25.0 + 0.1


def test_pauses_double_from_a_fifth_of_a_second_to_a_quarter_of_a_minute(clock: Clock) -> None:
    usual = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, *[15.0] * 12]
    seen: list[list[float]] = []
    for _ in range(200):
        pauses = outlast(clock, RetryPolicy(OUTAGE_SECONDS)).pauses[:-1]  # the last is what is left
        for pause, middle in zip(pauses, usual, strict=False):
            assert middle * 0.5 <= pause <= middle * 1.5
        seen.append(pauses)
    for number, middle in enumerate(usual):
        nth = [pauses[number] for pauses in seen]
        # They differ from process to process: over the whole width, and evenly around the middle.
        assert max(nth) - min(nth) > middle * 0.8
        assert middle * 0.85 < sum(nth) / len(nth) < middle * 1.15


class Asked(Supplies):
    """Gives one store, which is in no file system."""

    def store(self, config: Config) -> FakeStore:
        del config
        return FakeStore()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("executablepath: /x\noptions:\n  url: s3://bucket\n")
    return path


def context_of(command: str, config: Path) -> Context:
    return Context(Streams(0, 1, 2), Log(str(config.parent / "log")), command, str(config), supplies=Asked())


@pytest.mark.parametrize("command", COMMANDS)
def test_what_moves_data_waits_five_and_a_half_minutes_and_all_else_two(command: str, config: Path) -> None:
    moves_data = command.startswith(("backup_", "restore_", "replicate_"))
    store = context_of(command, config).store
    assert isinstance(store, RetryingStore)
    assert store.policy.outage == (DATA_SECONDS if moves_data else UNATTENDED)
    assert store.policy.retries is None


def test_hooks_of_a_thousand_hosts_do_not_come_back_at_once(clock: Clock, config: Path) -> None:
    store = context_of("setup_plugin_for_backup", config).store
    assert isinstance(store, RetryingStore)
    pauses = [outlast(clock, store.policy._replace(outages=None)).pauses[0] for _ in range(1000)]
    assert max(pauses) - min(pauses) > 0.4


def test_a_hook_waits_for_a_name_that_can_not_be_resolved_and_a_port_that_refuses(clock: Clock, config: Path) -> None:
    """What starts the database's host may start the resolver later."""
    store = context_of("setup_plugin_for_backup", config).store
    assert isinstance(store, RetryingStore)
    for cause in (socket.gaierror(-2, "Name or service not known"), ConnectionRefusedError(111, "Connection refused")):
        failing = iter([cause] * 5)

        def attempt(failing: Iterator[OSError] = failing) -> str:
            if (error := next(failing, None)) is None:
                return "done"
            raise Unreachable("can't connect") from error

        assert Attempts(store.policy._replace(outages=None), Waiting(clock)).run(attempt) == "done"


def test_a_manifest_waits_as_long_as_the_data_that_it_is_of(config: Path) -> None:
    store = context_of("cleanup_plugin_for_backup", config).patient_store
    assert isinstance(store, RetryingStore)
    assert store.policy.outage == DATA_SECONDS


@pytest.mark.parametrize(("size", "seconds"), [(0, 60), (16 << 10, 61), (8 << 20, 60 + 512), (1 << 30, 60 + 65536)])
def test_a_request_may_stand_still_for_the_timeout_and_needs_16_kb_a_second(
    clock: Clock, size: int, seconds: int
) -> None:
    deadline = answer.Deadline(60.0, size)
    assert deadline.stall == 60.0
    assert deadline.end - clock.now == seconds
