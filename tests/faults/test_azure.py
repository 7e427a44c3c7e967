"""The plugin, a proxy and Azurite: the faults of S3's list that make sense there."""

from __future__ import annotations

import itertools
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.conftest import BIG, SMALL, digest, end
from tests.protocol.caller import Database, Plugin, write_config
from tests.protocol.conftest import Target
from tests.protocol.waiting import wait_until
from tests.servers.azurite import options
from tests.servers.faults import Answer, Cut, Flip, Request
from tests.servers.link import Link
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.azurite import Azurite

Fault = Answer | Cut | Flip
_unique = itertools.count()
_BUSY = '<?xml version="1.0" encoding="utf-8"?><Error><Code>{}</Code><Message>The server is busy.</Message></Error>'


@dataclass
class AzureScene:
    """A plugin that reaches its container through a proxy only."""

    plugin: Plugin
    proxy: Proxy
    server: Azurite
    target: Target

    def configure(self, **others: str) -> None:
        usual = {"timeout": "2s", "backup_multipart_chunksize": "5MB", "restore_multipart_chunksize": "5MB"}
        write_config(self.plugin.config, self.target.url, options(self.proxy.endpoint), **{**usual, **others})

    def blob(self, path: str) -> str:
        return f"{self.target.url.removeprefix(self.server.url + '/')}/{self.plugin.database.key(path)}"

    def content(self, path: str) -> bytes:
        """The object of a path, fetched without the plugin and without the proxy."""
        with self.server.client() as client:
            content: bytes = client.download_blob(self.blob(path)).readall()
            return content

    def put(self, path: str, content: bytes) -> None:
        """Store an object without the plugin and without the proxy."""
        with self.server.client() as client:
            client.upload_blob(self.blob(path), content)

    def uncommitted(self) -> list[str]:
        """Names to which blocks were put, and that are no blobs."""
        prefix = self.target.url.removeprefix(self.server.url + "/") + "/"
        with self.server.client() as client:
            names = {blob.name for blob in client.list_blobs(prefix, include=["uncommittedblobs"])}
            return sorted(names - {blob.name for blob in client.list_blobs(prefix)})


@pytest.fixture
def scene(azure: Azurite, tmp_path: Path) -> Iterator[AzureScene]:
    folder = tmp_path / "host"
    folder.mkdir(mode=0o700)
    database = Database(folder)
    target = Target("azure", f"{azure.url}/faults/{next(_unique)}", azure.options)
    with Proxy(azure.endpoint) as proxy:
        made = AzureScene(Plugin(database, folder / "plugin.yaml"), proxy, azure, target)
        made.configure()
        yield made


def commits(request: Request) -> bool:
    return "comp=blocklist" in request.path


def stores(request: Request) -> bool:
    return request.method == "PUT" and request.size > 1000


def gets(request: Request) -> bool:
    return request.method == "GET"


def busy(**how: Any) -> Answer:
    return Answer(body=_BUSY.format("ServerBusy"), **{"every": 3, "times": None, **how})


SURVIVED: dict[str, tuple[int, Callable[[], Fault]]] = {
    "reset in the head": (BIG, lambda: Cut("up", 200, times=3)),
    "reset in a block": (BIG, lambda: Cut("up", 2_000_000, times=4)),
    "reset instead of a block's answer": (BIG, lambda: Answer(stores, status=0, forward=True, times=3)),
    "closed instead of an answer": (BIG, lambda: Cut("down", 0, "close", times=2)),
    "stalled in a block": (BIG, lambda: Cut("up", 3_000_000, "stall", times=2)),
    "stalled before an answer": (BIG, lambda: Cut("down", 0, "stall", times=1)),
    "told to slow down": (BIG, busy),
    "told to slow down at once": (BIG, lambda: busy(at_once=True)),
    "bits flipped": (BIG, lambda: Flip("up", 1_000_000, times=2)),
    "complete done, answer lost": (BIG, lambda: Answer(commits, status=0, forward=True, times=2)),
    "complete done, never heard of": (BIG, lambda: Answer(commits, status=0, forward=True, times=None)),
    "complete done, answered by an error": (
        BIG, lambda: Answer(commits, status=500, body=_BUSY.format("OperationTimedOut"), forward=True, times=2),
    ),
    "complete not done, answered by a page": (BIG, lambda: Answer(commits, status=200, body="<html/>", times=2)),
    "small: reset in the body": (SMALL, lambda: Cut("up", 50_000, times=3)),
    "small: reset instead of an answer": (SMALL, lambda: Cut("down", 0, times=3)),
    "small: bit flipped": (SMALL, lambda: Flip("up", 50_000)),
}  # fmt: skip


@pytest.mark.parametrize("trouble", SURVIVED)
def test_a_backup_survives_what_passes(scene: AzureScene, trouble: str) -> None:
    size, make = SURVIVED[trouble]
    fault = make()
    data = os.urandom(size)
    path = scene.plugin.database.table()
    scene.proxy.faults.append(fault)
    assert scene.plugin.run("backup_data", path, stdin=data, seconds=30).succeeded().out == b""
    assert fault.hits > 0
    assert digest(scene.content(path)) == digest(data)
    assert scene.target.keys() == [scene.plugin.database.key(path)]


FATAL: dict[str, tuple[int | None, Callable[[], Fault]]] = {
    "every block reset": (3, lambda: Cut("up", 2_000_000, times=None)),
    "every block flipped": (None, lambda: Flip("up", 1_000_000, times=None)),
    "no completion succeeds": (None, lambda: Answer(commits, status=500, times=None)),
}


@pytest.mark.parametrize("trouble", FATAL)
def test_a_backup_that_cannot_be_fails_and_leaves_nothing(scene: AzureScene, trouble: str) -> None:
    status, make = FATAL[trouble]
    fault = make()
    path = scene.plugin.database.table()
    scene.configure(max_retries="2", timeout="1s")
    scene.proxy.faults.append(fault)
    scene.plugin.run("backup_data", path, stdin=os.urandom(BIG), seconds=30).failed(
        scene.plugin.database.key(path), status=status
    )
    assert fault.hits > 1
    assert scene.target.keys() == []


def test_nothing_is_asked_twice_where_nothing_fails(scene: AzureScene) -> None:
    scene.configure(timeout="60s")  # however slow this machine is
    scene.plugin.run("backup_data", scene.plugin.database.table(), stdin=os.urandom(BIG)).succeeded()
    requests = scene.proxy.requests
    assert [request.method for request in requests if not stores(request)] == ["PUT", "HEAD"]
    assert len({request.path for request in requests}) == len(requests)
    assert sum(request.up for request in requests) < BIG * 1.01


RESTORES: dict[str, Callable[[], Fault]] = {
    "reset before an answer": lambda: Cut("down", 0, times=3),
    "reset in a body": lambda: Cut("down", 3_000_000, times=4),
    "closed in a body": lambda: Cut("down", 3_000_000, "close", times=4),
    "stalled in a body": lambda: Cut("down", 3_000_000, "stall", times=3),
    "told to slow down": busy,
}


@pytest.mark.parametrize("trouble", RESTORES)
def test_a_restore_survives_what_passes(scene: AzureScene, trouble: str) -> None:
    path, data = scene.plugin.database.table(), os.urandom(BIG)
    scene.put(path, data)
    fault = RESTORES[trouble]()
    scene.proxy.faults.append(fault)
    assert digest(scene.plugin.run("restore_data", path, seconds=30).succeeded().out) == digest(data)
    assert fault.hits > 0


def test_a_bit_flipped_on_the_way_down_is_told(scene: AzureScene) -> None:
    """The plugin has left a checksum with the object."""
    path = scene.plugin.database.table()
    scene.plugin.run("backup_data", path, stdin=os.urandom(BIG)).succeeded()
    scene.proxy.faults.append(Flip("down", 1_000_000, times=None))
    scene.plugin.run("restore_data", path, seconds=30).failed("checksum")


def test_an_object_replaced_during_a_restore_is_told(scene: AzureScene) -> None:
    path = scene.plugin.database.table()
    scene.put(path, os.urandom(BIG))
    changed = '<?xml version="1.0"?><Error><Code>ConditionNotMet</Code><Message>The condition.</Message></Error>'
    matching: Callable[[Request], bool] = lambda request: gets(request) and "if-match" in request.headers  # noqa: E731
    scene.proxy.faults.append(Answer(matching, status=412, body=changed, times=None))
    scene.plugin.run("restore_data", path, seconds=30).failed("replaced", status=1)


def in_mid_backup(scene: AzureScene) -> tuple[str, Any]:
    """A backup with blocks on a slow way."""
    scene.proxy.link = Link(rate=3e6, round_trip=0.02)
    path = scene.plugin.database.table()
    process = scene.plugin.start("backup_data", path)
    assert process.stdin is not None
    process.stdin.write(os.urandom(BIG // 2))
    process.stdin.flush()
    wait_until(lambda: any(request.status == 201 for request in scene.proxy.requests))
    return path, process


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_blocks_are_on_their_way_leaves_nothing_visible(
    scene: AzureScene, signum: signal.Signals
) -> None:
    _, process = in_mid_backup(scene)
    process.send_signal(signum)
    end(process, seconds=5).failed(signum.name, status=128 + signum)
    assert scene.target.keys() == []


def test_what_a_killed_backup_leaves_is_invisible_and_the_cleanup_hook_ends_it(scene: AzureScene) -> None:
    path, process = in_mid_backup(scene)
    process.kill()
    assert end(process, seconds=5).status == -signal.SIGKILL
    assert scene.target.keys() == []
    assert scene.uncommitted() == [scene.blob(path)]
    scene.proxy.link = Link()
    scene.plugin.run("restore_data", path).failed("no such object", scene.plugin.database.key(path))
    scene.plugin.run("cleanup_plugin_for_backup", scene.plugin.database.directory(), "segment_host").succeeded()
    assert scene.target.keys() == []
    assert scene.uncommitted() == []
