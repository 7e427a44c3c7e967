"""Connections that break, for each protocol: the right bytes, or a clear failure that leaves nothing."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.faults.behind import BEHIND, Behind
from tests.faults.conftest import digest, end, make_database
from tests.protocol.caller import Plugin, write_config
from tests.protocol.conftest import Target
from tests.protocol.waiting import wait_until
from tests.servers.faults import Cut

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.proxy import Proxy

SIZE = 18_000_000
_unique = itertools.count()


@dataclass
class Place:
    """A plugin that reaches its target through the proxy, one that does so directly, and the target."""

    through: Plugin
    direct: Plugin
    target: Target
    proxy: Proxy

    def configure(self, **options: str) -> None:
        """Use other options than the usual ones, which are made for quick tests."""
        settings = {"timeout": "2s", "backup_multipart_chunksize": "5MB", "restore_multipart_chunksize": "5MB"}
        write_config(self.through.config, self.url, self.behind.through, **{**settings, **options})

    url: str
    behind: Behind


@pytest.fixture(scope="module", params=BEHIND)
def behind(request: pytest.FixtureRequest) -> Iterator[Behind]:
    with BEHIND[request.param](request) as made:
        yield made


@pytest.fixture
def place(behind: Behind, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    kind = request.node.callspec.params["behind"]
    where = f"faults/{next(_unique)}"
    database = make_database(tmp_path / "host")
    direct_url = f"{behind.direct_url or behind.url}/{where}"
    through = Plugin(database, database.folder / "through.yaml")
    direct = Plugin(database, write_config(database.folder / "direct.yaml", direct_url, behind.direct))
    made = Place(
        through, direct, Target(kind, direct_url, behind.direct), behind.proxy, f"{behind.url}/{where}", behind
    )
    made.configure()
    yield made
    behind.proxy.faults.clear()


SURVIVED = {
    "reset at once": lambda way: Cut(way, 20, times=2),
    "reset in the middle": lambda way: Cut(way, 2_000_000, times=3),
    "closed in the middle": lambda way: Cut(way, 4_000_000, "close", times=1),
    "stalled in the middle": lambda way: Cut(way, 3_000_000, "stall", times=1),
}


@pytest.mark.parametrize("trouble", SURVIVED)
def test_a_backup_survives_what_passes(place: Place, trouble: str) -> None:
    fault = SURVIVED[trouble]("up")
    if place.behind.one_request and fault.after > 1000:
        pytest.skip("does not apply: a break fails such a backup")
    if fault.how == "stall":
        fault.how = place.behind.stall
    data = os.urandom(SIZE)
    path = place.through.database.table()
    place.proxy.faults.append(fault)
    assert place.through.run("backup_data", path, stdin=data, seconds=120).succeeded().out == b""
    assert fault.hits == fault.times
    assert place.target.keys() == [place.through.database.key(path)]
    assert digest(place.direct.run("restore_data", path).succeeded().out) == digest(data)


@pytest.mark.parametrize("trouble", SURVIVED)
def test_a_restore_survives_what_passes(place: Place, trouble: str) -> None:
    fault = SURVIVED[trouble]("down")
    data = os.urandom(SIZE)
    path = place.through.database.table()
    place.direct.run("backup_data", path, stdin=data).succeeded()
    place.proxy.faults.append(fault)
    assert digest(place.through.run("restore_data", path, seconds=90).succeeded().out) == digest(data)
    assert fault.hits == fault.times


def test_a_backup_that_cannot_be_fails_and_leaves_nothing(place: Place) -> None:
    place.configure(max_retries="1", timeout="1s")
    fault = Cut("up", 1_000_000, times=None)  # enough for cleaning up
    place.proxy.faults.append(fault)
    path = place.through.database.table()
    result = place.through.run("backup_data", path, stdin=os.urandom(SIZE), seconds=60)
    # Where all is one request, nobody can go on with it after a break: then the same call alone does not help.
    result.failed(place.through.database.key(path), status=None if place.behind.one_request else 3)
    assert place.target.keys() == []


@pytest.mark.parametrize("behind", ["hdfs"], indirect=True)
def test_a_file_that_the_server_holds_for_a_client_it_takes_for_alive_fails_the_backup(place: Place) -> None:
    place.configure(max_retries="3", timeout="1s")
    fault = Cut("up", 3_000_000, "stall")
    place.proxy.faults.append(fault)
    path = place.through.database.table()
    result = place.through.run("backup_data", path, stdin=os.urandom(SIZE), seconds=60)
    result.failed("another client still holds the file open", status=3)
    assert fault.hits == 1
    assert place.target.keys() == []


def test_a_restore_that_cannot_be_fails(place: Place) -> None:
    place.configure(max_retries="1", timeout="1s")
    path = place.through.database.table()
    place.direct.run("backup_data", path, stdin=os.urandom(SIZE)).succeeded()
    place.proxy.faults.append(Cut("down", 20, times=None))
    place.through.run("restore_data", path, seconds=60).failed(status=3)


def test_a_server_that_is_away_for_some_seconds_is_waited_for(place: Place) -> None:
    if place.behind.one_request:
        pytest.skip("does not apply: a break fails such a backup")
    path = place.through.database.table()
    data = os.urandom(SIZE)
    process = place.through.start("backup_data", path)
    assert process.stdin is not None
    process.stdin.write(data[: SIZE // 2])
    process.stdin.flush()
    place.behind.refuse()
    # The rest blocks as soon as all buffers are full.
    timer = threading.Timer(3, place.behind.accept)
    timer.start()
    end(process, data[SIZE // 2 :]).succeeded()
    timer.join()
    assert digest(place.direct.run("restore_data", path).succeeded().out) == digest(data)


@pytest.mark.alone
def test_a_signal_while_the_connection_hangs_ends_in_time(place: Place) -> None:
    place.configure(timeout="60s")
    fault = Cut("up", 1_000_000, "stall")
    place.proxy.faults.append(fault)
    process = place.through.start("backup_data", place.through.database.table())
    assert process.stdin is not None
    process.stdin.write(os.urandom(SIZE // 2))
    process.stdin.flush()
    wait_until(lambda: fault.hits)
    process.send_signal(signal.SIGTERM)
    result = end(process, seconds=2.5)
    assert result.status == 128 + signal.SIGTERM
    visible = [key for key in place.target.keys() if not key.endswith(".part")]  # noqa: SIM118 - a method of ours
    assert visible == []
