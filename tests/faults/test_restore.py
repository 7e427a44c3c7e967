"""restore_data, restore_data_subset and restore_file over a bad network: the right bytes, or a clear failure."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.conftest import BIG, digest, end, take
from tests.servers.faults import Answer, Cut, Flip, Request, slow_down
from tests.servers.link import Link

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.conftest import Scene, Stored

Fault = Answer | Cut | Flip

SURVIVED: dict[str, Callable[[], Fault]] = {
    "reset in a request": lambda: Cut("up", 100, times=3),
    "reset before an answer": lambda: Cut("down", 0, times=3),
    "reset in a body": lambda: Cut("down", 3_000_000, times=4),
    "closed in a body": lambda: Cut("down", 3_000_000, "close", times=4),
    "stalled in a request": lambda: Cut("up", 100, "stall"),
    "stalled in a body": lambda: Cut("down", 3_000_000, "stall", times=3),
    "told to slow down": slow_down,
    "told to slow down at once": lambda: slow_down(at_once=True),
}
SUBSET = ["reset in a body", "closed in a body", "stalled in a body", "told to slow down"]
SPANS = [(5, 4_000_000), (4_000_000, 4_000_001), (9_000_000, 23_999_999)]


def gets(request: Request) -> bool:
    return request.method == "GET"


@pytest.mark.with_agent({"reset in a body", "stalled in a body", "told to slow down"})
@pytest.mark.parametrize("trouble", SURVIVED)
def test_a_restore_survives_what_passes(reading: Scene, stored: Stored, trouble: str) -> None:
    fault = SURVIVED[trouble]()
    reading.proxy.faults.append(fault)
    path = stored.path(reading.plugin.database, "big")
    result = reading.plugin.run("restore_data", path, seconds=30).succeeded()
    assert digest(result.out) == digest(stored.content["big"])
    assert fault.hits > 0


@pytest.mark.parametrize("trouble", SUBSET)
def test_a_subset_survives_what_passes(reading: Scene, stored: Stored, tmp_path: Path, trouble: str) -> None:
    fault = SURVIVED[trouble]()
    reading.proxy.faults.append(fault)
    offsets = tmp_path / "offsets"
    offsets.write_text(" ".join(str(number) for number in (len(SPANS), *(n for span in SPANS for n in span))))
    path = stored.path(reading.plugin.database, "big")
    result = reading.plugin.run("restore_data_subset", path, str(offsets), seconds=30).succeeded()
    assert digest(result.out) == digest(b"".join(stored.content["big"][start:stop] for start, stop in SPANS))
    assert fault.hits > 0


SMALL: dict[str, Callable[[], Fault]] = {
    "reset in the body": lambda: Cut("down", 50_000, times=3),
    "closed in the body": lambda: Cut("down", 50_000, "close", times=3),
    "stalled in the body": lambda: Cut("down", 50_000, "stall"),
    "told to slow down": lambda: Answer(gets, times=2),
}


@pytest.mark.parametrize("trouble", SMALL)
def test_a_file_survives_what_passes(reading: Scene, stored: Stored, trouble: str) -> None:
    fault = SMALL[trouble]()
    reading.proxy.faults.append(fault)
    path = stored.path(reading.plugin.database, "small")
    Path(path).parent.mkdir(parents=True)
    reading.plugin.run("restore_file", path, seconds=30).succeeded()
    assert digest(Path(path).read_bytes()) == digest(stored.content["small"])
    assert [entry.name for entry in Path(path).parent.iterdir()] == [Path(path).name]
    assert fault.hits


@pytest.mark.with_agent
def test_a_restore_goes_on_at_its_own_last_byte(reading: Scene, stored: Stored) -> None:
    """What was delivered before a clean end is not fetched again."""
    reading.proxy.faults.append(Cut("down", 3_000_000, "close", times=4))
    path = stored.path(reading.plugin.database, "big")
    result = reading.plugin.run("restore_data", path, seconds=30).succeeded()
    assert digest(result.out) == digest(stored.content["big"])
    # The proxy has had a little more from the store than it passed on.
    assert sum(request.down for request in reading.proxy.requests) <= BIG + 2_000_000
    # All but the one that finds the object, and tells which version of it the others are to read.
    # Before it, the manifests are listed.
    asked = [one for one in reading.proxy.requests if gets(one) and "list-type=" not in one.path]
    pinned = [bool(request.headers.get("if-match")) for request in asked]
    assert pinned.count(False) == 1
    assert not pinned[0]


FATAL: dict[str, tuple[int | None, Callable[[], Fault]]] = {
    "always reset": (3, lambda: Cut("down", 0, times=None)),
    "always refused": (None, lambda: Answer(gets, times=None)),
    "always stalled": (3, lambda: Cut("down", 0, "stall", times=None)),
}


@pytest.mark.with_agent
@pytest.mark.parametrize("trouble", FATAL)
def test_a_restore_that_cannot_be_fails_and_writes_nothing(reading: Scene, stored: Stored, trouble: str) -> None:
    status, make = FATAL[trouble]
    # Without a look at manifests, which would fail before.
    reading.configure(max_retries="2", timeout="1s", checksum="off")
    path = stored.path(reading.plugin.database, "big")
    reading.proxy.faults.append(make())
    result = reading.plugin.run("restore_data", path, seconds=30)
    assert result.failed(reading.plugin.database.key(path), status=status).out == b""


@pytest.mark.with_agent
@pytest.mark.parametrize(
    ("command", "name"), [("restore_data", "big"), ("restore_data", "small"), ("restore_file", "small")]
)
def test_a_flipped_bit_is_found(reading: Scene, stored: Stored, command: str, name: str) -> None:
    """Whatever was written by then: the exit status tells, and a file does not appear."""
    path = stored.path(reading.plugin.database, name)
    Path(path).parent.mkdir(parents=True)
    fault = Flip("down", 50_000, larger_than=60_000)
    reading.proxy.faults.append(fault)
    reading.plugin.run(command, path, seconds=30).failed("checksum", reading.plugin.database.key(path), status=1)
    assert fault.hits == 1
    assert list(Path(path).parent.iterdir()) == []


def test_an_object_that_is_replaced_meanwhile_is_an_error(scene: Scene) -> None:
    scene.configure(restore_multipart_chunksize="2MB", restore_max_concurrent_requests="2")
    old, new = os.urandom(BIG), os.urandom(BIG)
    path = scene.plugin.database.table()
    scene.put(path, old)
    scene.proxy.link = Link(rate=4e6)
    process = scene.plugin.start("restore_data", path)
    begun = take(process, 1_000_000)
    scene.put(path, new)
    scene.proxy.reset()  # what has been asked for may still be answered; what is asked now can't
    result = end(process, seconds=30).failed(scene.plugin.database.key(path), "replaced", status=1)
    assert len(begun + result.out) < BIG
    assert old.startswith(begun + result.out)
