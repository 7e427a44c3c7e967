"""What hooks ask of a store is asked once a host and run, however many of them come, and however close together."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import Interrupted, NotFound, StorageError
from fsspec_gp_plugin.integrity import run_state
from fsspec_gp_plugin.log import Log
from fsspec_gp_plugin.process import Streams
from fsspec_gp_plugin.protocol import hooks
from fsspec_gp_plugin.protocol.context import Context
from fsspec_gp_plugin.protocol.hooks import take_turn
from fsspec_gp_plugin.protocol.targets import Resources
from tests.fakes import Alarm, FakeStore
from tests.recorded import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMESTAMP = "20260101120000"


class Host:
    """Where the hooks of a cluster with two segments run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        lines = ["executablepath: /x", "options:", "  url: s3://bucket", f"  state_directory: {folder}/state"]
        self.config.write_text("\n".join(lines))
        self.log = Log(str(folder / "log"))

    def context(self, store: FakeStore, resources: Resources | None = None) -> Context:
        return Context(Streams(0, 1, 2), self.log, "test", str(self.config), store, resources=resources)

    def call(self, hook: str, store: FakeStore, content: int, scope: str, timestamp: str = TIMESTAMP) -> None:
        directory = f"/data/gpseg{content}/backups/{timestamp[:8]}/{timestamp}"
        getattr(hooks, hook)(self.context(store), directory, scope)

    def files(self) -> list[str]:
        """What it remembers, but for runs of backups."""
        state = self.folder / "state"
        return sorted(
            str(one.relative_to(state)) for one in state.rglob("*") if one.is_file() and "runs/" not in str(one)
        )


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.log.close()


def test_only_the_first_setup_hook_of_a_host_asks_the_store(host: Host) -> None:
    store = FakeStore()
    host.call("setup_plugin_for_backup", store, -1, "master")
    store.calls.clear()
    for content in (0, 1):
        host.call("setup_plugin_for_backup", store, content, "segment_host")
    assert store.calls == []
    run = run_state.read_run(host.context(store).config.place, TIMESTAMP)
    assert run is not None
    assert run.directories == ("/data/gpseg-1", "/data/gpseg0", "/data/gpseg1")


def test_the_coordinators_hook_always_asks(host: Host) -> None:
    store = FakeStore()
    host.call("setup_plugin_for_backup", store, -1, "master")
    store.calls.clear()
    host.call("setup_plugin_for_backup", store, -1, "master")
    assert store.calls


def test_of_hooks_that_come_at_once_one_asks(host: Host, tmp_path: Path) -> None:
    begun = FakeStore()
    (tmp_path / "coordinator").mkdir()
    Host(tmp_path / "coordinator").call("setup_plugin_for_backup", begun, -1, "master")
    store = FakeStore(lambda *_: time.sleep(0.02))
    store.objects = begun.objects
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: host.call("setup_plugin_for_backup", store, n, "segment_host"), range(4)))
    assert sum(call[0] == "abort" for call in store.calls) == 1, "one tried the target"
    assert sum(key.endswith(".mark") for key in store.objects) == 2
    store.calls.clear()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: host.call("cleanup_plugin_for_backup", store, n, "segment_host"), range(4)))
    assert sum(key.endswith(".manifest.gz") for key in store.objects) == 1
    assert host.files() == []


def test_where_two_runs_may_have_claimed_the_prefix_each_hook_looks(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsspec_gp_plugin.backups.claim_writing._PAUSE_SECONDS", 0)
    store = FakeStore(creates=False)
    host.call("setup_plugin_for_backup", store, -1, "master")
    store.calls.clear()
    host.call("setup_plugin_for_backup", store, 0, "segment_host")
    assert store.calls


@pytest.mark.parametrize("age", [-3600, 3600])
def test_what_another_time_has_found_does_not_count(host: Host, age: int) -> None:
    store = FakeStore()
    host.call("setup_plugin_for_backup", store, -1, "master")
    for path in (host.folder / "state/runs").iterdir():
        os.utime(path, (time.time() - age,) * 2)
    store.calls.clear()
    host.call("setup_plugin_for_backup", store, 0, "segment_host")
    assert store.calls


def test_a_run_that_was_refused_is_refused_in_every_scope(host: Host) -> None:
    store = FakeStore()
    with pytest.raises(NotFound, match="does not see what the coordinator wrote"):
        host.call("setup_plugin_for_backup", store, 0, "segment_host")
    with pytest.raises(NotFound, match="does not see what the coordinator wrote"):
        host.call("setup_plugin_for_backup", store, 1, "segment_host")
    with pytest.raises(StorageError, match="has failed"):
        host.call("cleanup_plugin_for_backup", store, 1, "segment_host")


def test_only_the_first_setup_hook_of_a_restore_asks_and_nothing_stays(host: Host) -> None:
    backup = recorded("default")
    store = FakeStore()
    store.objects.update(backup.objects)
    timestamp = backup.timestamp
    host.call("setup_plugin_for_restore", store, -1, "master", timestamp)
    assert store.calls
    store.calls.clear()
    for content in (0, 1):
        host.call("setup_plugin_for_restore", store, content, "segment_host", timestamp)
    assert store.calls == []
    assert host.files()
    for content in (-1, 0, 1):
        host.call("cleanup_plugin_for_restore", store, content, "segment_host", timestamp)
    assert host.files() == []
    host.call("setup_plugin_for_restore", store, 0, "segment_host", timestamp)
    assert store.calls, "the next restore looks again"


def test_what_a_setup_hook_that_failed_has_found_does_not_count(host: Host) -> None:
    backup = recorded("default")
    store = FakeStore()
    store.objects.update(backup.objects)
    timestamp = backup.timestamp
    del store.objects[next(key for key in store.objects if key.endswith(".gz"))]
    for content, scope in ((-1, "master"), (0, "segment_host")):
        with pytest.raises(NotFound):
            host.call("setup_plugin_for_restore", store, content, scope, timestamp)


def test_a_client_that_is_gone_waits_for_no_turn(host: Host) -> None:
    resources = Resources()
    resources.alarm = alarm = Alarm()
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with take_turn(host.context(FakeStore()), TIMESTAMP):
            inside.set()
            done.wait(60)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert inside.wait(60)
        alarm.ring()
        try:
            with pytest.raises(Interrupted), take_turn(host.context(FakeStore(), resources), TIMESTAMP):
                pytest.fail("it was not its turn")
        finally:
            done.set()
        holding.result()
    alarm.close()
    assert host.files() == []


def test_nothing_stays_after_restores_whose_hooks_end_at_once(host: Host) -> None:
    """Two hooks at once must not take the same note, nor each think that the other still needs the catalog."""
    backup = recorded("default")
    store = FakeStore()
    store.objects.update(backup.objects)
    contents = (-1, 0, 1, 2)
    with ThreadPoolExecutor(len(contents)) as pool:
        for _ in range(200):
            for hook in ("setup_plugin_for_restore", "cleanup_plugin_for_restore"):
                call = partial(host.call, hook, store, scope="segment_host", timestamp=backup.timestamp)
                list(pool.map(lambda content: call(content=content), contents))  # noqa: B023
            assert host.files() == []


def test_where_the_host_keeps_no_locks_hooks_do_without_turns(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a home on a network file system without them."""

    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fsspec_gp_plugin.protocol.hooks.try_lock", no_locks)
    store = FakeStore()
    host.call("setup_plugin_for_backup", store, -1, "master")
    host.call("cleanup_plugin_for_backup", store, -1, "master")
    assert sum(key.endswith(".manifest.gz") for key in store.objects) == 1
