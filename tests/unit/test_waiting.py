"""What commands for people don't wait for, on a clock of the tests' own."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.cli.waiting import waiting_for
from fsspec_gp_plugin.config.loading import load_config
from fsspec_gp_plugin.errors import Unreachable
from fsspec_gp_plugin.storage import retry_policy
from fsspec_gp_plugin.storage.retry_policy import Attempts
from tests.unit.clock import Clock, Waiting

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.config.loading import Config

CAUSES = [socket.gaierror(-2, "Name or service not known"), ConnectionRefusedError(111, "Connection refused")]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(retry_policy, "time", made)
    return made


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "c.yaml").write_text("executablepath: /x\noptions:\n  url: s3://bucket\n")
    return load_config(str(tmp_path / "c.yaml"))


class Failing:
    """Fails so many times."""

    def __init__(self, cause: BaseException | None, times: int = 1000) -> None:
        self.cause, self.left, self.tries = cause, times, 0

    def __call__(self) -> str:
        self.tries += 1
        if self.left:
            self.left -= 1
            raise Unreachable("can't list s3://bucket: can't connect") from self.cause
        return "done"


@pytest.mark.parametrize("cause", CAUSES, ids=["name", "refused"])
def test_a_person_does_not_wait_for_what_hardly_passes(clock: Clock, config: Config, cause: OSError) -> None:
    failing = Failing(cause)
    with waiting_for(config, 30.0) as policy, pytest.raises(Unreachable, match=r"resolved|nothing listens") as raised:
        Attempts(policy, Waiting(clock)).run(failing)
    assert failing.tries == 1
    assert "tried" not in str(raised.value)


@pytest.mark.parametrize("cause", CAUSES, ids=["name", "refused"])
def test_what_cron_calls_waits_for_it(clock: Clock, config: Config, cause: OSError) -> None:
    with waiting_for(config, 120.0, attended=False) as policy:
        assert Attempts(policy, Waiting(clock)).run(Failing(cause, 8)) == "done"


def test_a_target_that_has_answered_before_is_waited_for(clock: Clock, config: Config) -> None:
    """Hours of verifying shall not end with a store that is restarted."""
    with waiting_for(config, 30.0) as policy:
        Attempts(policy).run(lambda: None)
        assert Attempts(policy, Waiting(clock)).run(Failing(CAUSES[1], 5)) == "done"


def test_what_may_pass_within_seconds_is_waited_for(clock: Clock, config: Config) -> None:
    with waiting_for(config, 30.0) as policy:
        assert Attempts(policy, Waiting(clock)).run(Failing(TimeoutError(), 5)) == "done"
        with pytest.raises(Unreachable, match=r"tried \d+ times in 3\d s"):
            Attempts(policy, Waiting(clock)).run(Failing(TimeoutError()))
