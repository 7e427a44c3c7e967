"""backup_data over a bad network: the right bytes, or a clear failure that leaves nothing."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.faults.conftest import BIG, SMALL, digest
from tests.servers.faults import Answer, Cut, Flip, Request, completes, failed_complete, lost_complete, slow_down

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.conftest import Scene

Fault = Answer | Cut | Flip


def begins(request: Request) -> bool:
    return request.method == "POST" and request.path.partition("?")[2].startswith("uploads")


def stores(request: Request) -> bool:
    return request.method == "PUT" and request.size > 1000


SURVIVED: dict[str, tuple[int, Callable[[], Fault]]] = {
    "reset in the head": (BIG, lambda: Cut("up", 200, times=3)),
    "reset in a part": (BIG, lambda: Cut("up", 2_000_000, times=4)),
    "reset instead of a part's answer": (BIG, lambda: Answer(stores, status=0, forward=True, times=3)),
    "reset instead of the upload's id": (BIG, lambda: Answer(begins, status=0, forward=True, times=2)),
    "reset in an answer": (BIG, lambda: Cut("down", 100, times=2)),
    "closed instead of an answer": (BIG, lambda: Cut("down", 0, "close", times=2)),
    "stalled in a part": (BIG, lambda: Cut("up", 3_000_000, "stall", times=2)),
    "stalled before an answer": (BIG, lambda: Cut("down", 0, "stall", times=1)),
    "told to slow down": (BIG, slow_down),
    "told to slow down at once": (BIG, lambda: slow_down(at_once=True)),
    "bits flipped": (BIG, lambda: Flip("up", 1_000_000, times=2)),
    "complete done, answer lost": (BIG, lost_complete),
    "complete done, answered by an error": (BIG, lambda: failed_complete(forward=True)),
    "complete not done, answered by an error in a 200": (BIG, lambda: failed_complete(times=2)),
    "small: reset in the head": (SMALL, lambda: Cut("up", 200, times=2)),
    "small: reset in the body": (SMALL, lambda: Cut("up", 50_000, times=3)),
    "small: reset instead of an answer": (SMALL, lambda: Cut("down", 0, times=3)),
    "small: closed instead of an answer": (SMALL, lambda: Cut("down", 0, "close", times=2)),
    "small: stalled in the body": (SMALL, lambda: Cut("up", 50_000, "stall")),
    "small: told to slow down at once": (SMALL, lambda: Answer(stores, times=2, at_once=True)),
    "small: bit flipped": (SMALL, lambda: Flip("up", 50_000)),
}


@pytest.mark.with_agent({"reset in a part", "stalled in a part", "told to slow down", "complete done, answer lost"})
@pytest.mark.parametrize("trouble", SURVIVED)
def test_a_backup_survives_what_passes(scene: Scene, trouble: str) -> None:
    size, make = SURVIVED[trouble]
    fault = make()
    data = os.urandom(size)
    path = scene.plugin.database.table()
    scene.proxy.faults.append(fault)
    assert scene.plugin.run("backup_data", path, stdin=data, seconds=30).succeeded().out == b""
    assert fault.hits > 0
    assert fault.hits == (fault.times or fault.hits)
    assert digest(scene.content(path)) == digest(data)
    assert scene.target.keys() == [scene.plugin.database.key(path)]


FATAL: dict[str, tuple[int, int | None, Callable[[], Fault]]] = {
    "every part reset": (BIG, 3, lambda: Cut("up", 2_000_000, times=None)),
    "every part stalls": (BIG, 3, lambda: Cut("up", 2_000_000, "stall", times=None)),
    "every part flipped": (BIG, None, lambda: Flip("up", 1_000_000, times=None)),
    "no complete succeeds": (BIG, None, lambda: failed_complete(times=None)),
    "small: never answered": (SMALL, 3, lambda: Answer(lambda r: r.method == "PUT", status=0, times=None)),
}


@pytest.mark.parametrize("trouble", FATAL)
def test_a_backup_that_cannot_be_fails_and_leaves_nothing(scene: Scene, trouble: str) -> None:
    size, status, make = FATAL[trouble]
    fault = make()
    path = scene.plugin.database.table()
    scene.configure(max_retries="2", timeout="1s")
    scene.proxy.faults.append(fault)
    # A name is what an operator searches for.
    scene.plugin.run("backup_data", path, stdin=os.urandom(size), seconds=30).failed(
        scene.plugin.database.key(path), status=status
    )
    assert fault.hits > 1
    assert scene.target.keys() == []


def test_nothing_is_asked_twice_where_nothing_fails(scene: Scene) -> None:
    scene.configure(timeout="60s")  # however slow this machine is
    scene.plugin.run("backup_data", scene.plugin.database.table(), stdin=os.urandom(BIG)).succeeded()
    requests = scene.proxy.requests
    parts = [re.findall(r"partNumber=(\d+)", request.path) for request in requests if request.method == "PUT"]
    assert sorted(parts) == [[str(number)] for number in range(1, len(parts) + 1)]
    assert sum(request.up for request in requests) < BIG * 1.01
    assert [request.method for request in requests if begins(request) or completes(request)] == ["POST", "POST"]
    assert "DELETE" not in [request.method for request in requests]
