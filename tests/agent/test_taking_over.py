"""A worker uses nothing of a client's before the call is its own, and takes no call for which it has no descriptors."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.agent import wire
from fsspec_gp_plugin.agent.wire import INCOMPLETE, RECLAIMED, VERSION
from tests.agent.conftest import wait_until
from tests.agent.lone_worker import hand_over, working

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.agent.lone_worker import Work
    from tests.agent.played_client import PlayedClient


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    """A worker."""
    with working(tmp_path) as work:
        yield work


@pytest.fixture
def rows() -> Iterator[int]:
    """A pipe with data in it."""
    reads, feeds = os.pipe()
    os.write(feeds, b"rows")
    os.close(feeds)
    yield reads
    os.close(reads)


def taken(work: Work) -> PlayedClient:
    client = work.client()
    assert client.ask(work.request()) == wire.TAKEN
    return client


def open_descriptors(work: Work) -> int:
    return len(os.listdir(f"/proc/{work.process.pid}/fd"))


def limit_descriptors(work: Work, most: int) -> int:
    """Let the worker have so many from now on; returns how many it might have had."""
    before, hard = resource.prlimit(work.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(work.process.pid, resource.RLIMIT_NOFILE, (most, hard))
    return before


def test_a_call_for_which_descriptors_might_not_suffice_is_refused(work: Work) -> None:
    """Each may need 24; those that others may still open count as well."""
    at_rest = open_descriptors(work)
    limit_descriptors(work, at_rest + 20)
    assert work.client().ask(work.request()) == wire.REFUSED
    limit_descriptors(work, at_rest + 24 + 20)
    first = taken(work)
    assert work.client().ask(work.request()) == wire.REFUSED
    first.close()
    while (answer := work.client().ask(work.request())) == wire.REFUSED:
        pass
    assert answer == wire.TAKEN


def test_what_the_client_has_taken_back_is_not_touched(work: Work, rows: int) -> None:
    client = taken(work)
    assert client.takes_back()
    hand_over(client, os.dup(rows))
    assert client.hear() == b""
    assert os.read(rows, 100) == b"rows"
    assert_told(work, RECLAIMED)


def assert_told(work: Work, reason: str) -> None:
    """That the log says once why a command runs by itself, which is counted then, too."""
    told = f"runs by itself: {reason}"
    wait_until(lambda: sum(log.read_text().count(told) for log in work.folder.glob("gpAdminLogs/*.log")) == 1)


def test_a_client_of_an_earlier_version_is_told_no(work: Work) -> None:
    assert work.client().ask(b"FGP1" + bytes(4)) == wire.REFUSED
    assert_told(work, VERSION)


def test_descriptors_that_do_not_all_arrive_are_not_touched(work: Work, rows: int) -> None:
    client = taken(work)
    before = limit_descriptors(work, open_descriptors(work) + 2)
    hand_over(client, os.dup(rows))
    assert client.hear() == b""
    assert client.takes_back()
    assert os.read(rows, 100) == b"rows"
    assert_told(work, INCOMPLETE)
    limit_descriptors(work, before)
    client, feeds = work.begun()
    os.close(feeds)
    assert client.hear_end() == 0
    assert not client.takes_back()
