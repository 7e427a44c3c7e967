"""A target that is away for a time, ends that come in mid-backup, and callers that take their time."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.faults.conftest import BIG, PATIENCE, Scene, digest, end, make_database, make_scene, take
from tests.protocol.caller import Plugin
from tests.protocol.conftest import Target
from tests.protocol.waiting import wait_until
from tests.servers import minio as minio_server
from tests.servers.fixtures import minio_program
from tests.servers.link import Link
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.protocol.caller import Database, Result
    from tests.servers.minio import Minio, MinioServer

OUTAGE = min(PATIENCE, 20)


class Traffic:
    """A restore and a backup, each of which has moved some of its bytes and now stands at a pipe."""

    def __init__(self, scene: Scene, size: int = 2 * BIG) -> None:
        self.scene = scene
        self.data = os.urandom(size)
        self.paths = [scene.plugin.database.table(oid) for oid in (1, 2)]
        scene.configure(restore_max_concurrent_requests="2", memory_limit="32MB")
        scene.put(self.paths[0], self.data)
        self.restoring = scene.plugin.start("restore_data", self.paths[0])
        self.saving = scene.plugin.start("backup_data", self.paths[1])
        assert self.saving.stdin is not None
        self.begun = take(self.restoring, 1_000_000)
        self.saving.stdin.write(self.data[: size // 2])
        self.saving.stdin.flush()
        wait_until(lambda: any(request.method == "PUT" for request in scene.proxy.requests))
        self._threads = ThreadPoolExecutor(2)
        self._ends: list[Future[Result]] = []

    def go_on(self) -> None:
        """Give and take all the rest."""
        rest = self.data[len(self.data) // 2 :]
        self._ends = [self._threads.submit(end, self.restoring), self._threads.submit(end, self.saving, rest)]

    def waits(self) -> bool:
        """Whether neither has ended."""
        return self.restoring.poll() is None and self.saving.poll() is None

    def arrives(self) -> None:
        """Both end well, with all the bytes and nothing besides."""
        with self._threads:
            restored, saved = (future.result() for future in self._ends)
        saved.succeeded()
        assert digest(self.begun + restored.succeeded().out) == digest(self.data)
        assert digest(self.scene.content(self.paths[1])) == digest(self.data)
        assert self.scene.target.keys() == [self.scene.plugin.database.key(path) for path in self.paths]


@dataclass
class Waits:
    """Two kinds of traffic that had to wait for long, both at the same time, and whether they did."""

    refused: Traffic
    paused: Traffic
    waited: dict[str, bool]


@pytest.fixture(scope="module")
def waits(minio: Minio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waits]:
    folder = tmp_path_factory.mktemp("waits")
    # The store closes idle connections in the meantime; and the time-out of requests is shorter than the wait.
    with Proxy(minio.endpoint, link=Link(rate=20e6)) as away, Proxy(minio.endpoint, idle=PATIENCE / 4) as idle:
        refused = Traffic(make_scene(away, minio, make_database(folder / "refused")))
        paused = Traffic(make_scene(idle, minio, make_database(folder / "paused")))
        started = time.monotonic()
        away.refuse()
        refused.go_on()
        time.sleep(OUTAGE)
        waited = {"refused": refused.waits()}
        away.accept()
        time.sleep(max(0, started + PATIENCE - time.monotonic()))
        waited["paused"] = paused.waits()
        paused.go_on()
        yield Waits(refused, paused, waited)


def test_both_ways_survive_connections_that_are_refused_for_20_seconds(waits: Waits) -> None:
    waits.refused.arrives()
    assert waits.waited["refused"]


def test_neither_a_pipe_that_nobody_reads_nor_a_producer_that_pauses_is_an_error(waits: Waits) -> None:
    waits.paused.arrives()
    assert waits.waited["paused"]


@pytest.fixture
def own_minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    """A server that a test may kill."""
    program = minio_program()
    with minio_server.MinioServer(program, tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.mark.with_agent
def test_both_ways_survive_a_server_that_is_killed_and_started_again(
    own_minio: MinioServer, database: Database
) -> None:
    minio = own_minio.minio
    target = Target("s3", f"s3://{minio.bucket}/killed", minio.options, minio)
    with Proxy(minio.endpoint) as proxy:
        scene = Scene(Plugin(database, database.folder / "plugin.yaml"), proxy, target)
        traffic = Traffic(scene)
        own_minio.kill()
        traffic.go_on()
        time.sleep(2)
        own_minio.start()
        traffic.arrives()
    assert minio.unfinished_uploads(f"killed/{database.key(traffic.paths[1])}") == []


def in_mid_backup(scene: Scene) -> tuple[str, subprocess.Popen[bytes]]:
    """A backup with parts on a slow way."""
    scene.proxy.link = Link(rate=1e6, round_trip=0.02)
    path = scene.plugin.database.table()
    process = scene.plugin.start("backup_data", path)
    assert process.stdin is not None
    process.stdin.write(os.urandom(BIG // 2))
    process.stdin.flush()
    wait_until(lambda: any(request.method == "PUT" and request.up > 100_000 for request in scene.proxy.requests))
    return path, process


@pytest.mark.with_agent
@pytest.mark.alone
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_parts_are_on_their_way_leaves_nothing(scene: Scene, signum: signal.Signals) -> None:
    _, process = in_mid_backup(scene)
    process.send_signal(signum)
    end(process, seconds=2.5).failed(signum.name, status=128 + signum)
    assert scene.target.keys() == []


@pytest.mark.with_agent
def test_what_a_killed_backup_leaves_is_invisible_and_the_cleanup_hook_ends_it(scene: Scene) -> None:
    path, process = in_mid_backup(scene)
    process.kill()
    assert end(process).status == -signal.SIGKILL
    key = scene.plugin.database.key(path)
    assert [left for left in scene.target.keys() if not left.startswith("unfinished ")] == []  # noqa: SIM118 - a method
    scene.proxy.link = Link()
    scene.plugin.run("restore_data", path).failed("no such object", key)
    scene.plugin.run("cleanup_plugin_for_backup", scene.plugin.database.directory(), "segment_host").succeeded()
    assert scene.target.keys() == []
