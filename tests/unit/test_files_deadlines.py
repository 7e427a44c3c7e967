"""A filesystem of fsspec whose calls never return: they fail in time, and what they leave behind harms nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import StorageError, Unreachable
from fsspec_gp_plugin.storage.files.left_threads import MOST_LEFT
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from tests.hanging import RELEASE, HangingFileSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import Store

KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000_16384"
DATA = memoryview(os.urandom(3_000_000))
LIMIT = 1.0
AT_ONCE = 60.0  # on a slow machine, and yet less than for ever


@pytest.fixture(autouse=True)
def released(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What has hung ends with the test."""
    registry = sys.modules["fsspec.registry"]
    monkeypatch.setitem(registry.known_implementations, "hanging", {})
    monkeypatch.setitem(registry._registry, "hanging", HangingFileSystem)
    RELEASE.clear()
    yield
    RELEASE.set()
    wait_for(lambda: not threads())


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fsspec"]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + AT_ONCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Place:
    """Where the files are, and the calls that are to hang."""

    def __init__(self, folder: Path) -> None:
        self._root, self._calls = folder / "root", folder / "calls"
        self._root.mkdir()
        self._calls.mkdir()

    def store(
        self, where: str, times: int = 1, *, how: str = "hang", policy: RetryPolicy | None = None, limit: float = LIMIT
    ) -> Store:
        """A store whose next so many calls of a kind hang."""
        options = {"where": where, "folder": str(self._calls), "how": how}
        store = open_store(f"hanging://{self._root}", options, timeout=limit, policy=policy)
        self.arm(times)
        return store

    def arm(self, times: int) -> None:
        for number in range(times):
            (self._calls / str(number)).touch()

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self._root.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


NAME = KEY.rpartition("/")[2]
WRITING = ["constructor", "makedirs", "open wb", "write", "close", "info", "mv"]


@pytest.mark.parametrize("where", WRITING)
def test_a_call_that_hangs_once_is_made_again(place: Place, where: str) -> None:
    store = place.store(where, policy=RetryPolicy(outage=AT_ONCE, first_pause=0.01))
    if where == "constructor":
        store.inner.connections.drop(store.inner.connections.take("to have none"))  # type: ignore[attr-defined]
    assert store.put(KEY, DATA).size == len(DATA)
    RELEASE.set()
    wait_for(lambda: len(threads()) < 2)
    assert place.files()[NAME] == DATA
    store.close()


@pytest.mark.parametrize("where", WRITING)
def test_a_call_that_always_hangs_fails_in_time_and_leaves_nothing_visible(place: Place, where: str) -> None:
    store = place.store(where, 3)
    if where == "constructor":
        store.connections.drop(store.connections.take("to have none"))  # type: ignore[attr-defined]
        place.arm(3)
    started = time.monotonic()
    with pytest.raises(Unreachable, match="did not end in the 1 s of the option `timeout`") as caught:
        store.put(KEY, DATA)
    assert KEY in str(caught.value)
    assert time.monotonic() - started < AT_ONCE
    assert NAME not in place.files()
    store.close()


@pytest.mark.parametrize("where", ["open rb", "read"])
def test_a_read_that_hangs_is_made_again_and_never_touches_the_buffer_later(place: Place, where: str) -> None:
    store = place.store(where, 0, policy=RetryPolicy(outage=AT_ONCE, first_pause=0.01))
    store.put(KEY, DATA)
    info = store.stat(KEY)
    place.arm(1)
    into = bytearray(len(DATA))
    assert sum(store.read(info, 0, memoryview(into))) == len(DATA)
    assert into == DATA
    into[:] = bytes(len(into))
    RELEASE.set()
    wait_for(lambda: len(threads()) < 2)
    assert not any(into)
    store.close()


@pytest.mark.parametrize("where", ["ls", "rm"])
def test_a_listing_or_a_deletion_that_hangs_fails_in_time(place: Place, where: str) -> None:
    store = place.store(where, 0)
    store.put(KEY, DATA)
    place.arm(1)
    with pytest.raises(Unreachable, match="did not end in"):
        list(store.find("backups/")) if where == "ls" else store.delete([KEY])
    assert [info.key for info in store.find("backups/")] == [KEY]
    store.close()


def test_a_stream_fails_whose_second_part_hangs_and_what_it_has_written_goes(place: Place) -> None:
    store = place.store("write", 0)
    writer = store.begin(KEY)
    writer.write(1, DATA)
    place.arm(1)
    with pytest.raises(StorageError, match="did not end in") as caught:
        writer.write(2, DATA)
    assert not isinstance(caught.value, Unreachable)  # nobody has the first part any more
    writer.abort()
    assert place.files() == {}
    store.close()


def test_an_attempt_that_was_given_up_and_goes_on_later_writes_to_a_file_of_its_own(place: Place) -> None:
    store = place.store("open wb", 1, policy=RetryPolicy(outage=AT_ONCE, first_pause=0.01))
    writer = store.begin(KEY)
    writer.write(1, DATA)
    RELEASE.set()
    wait_for(lambda: len(place.files()) == 2)  # the late one
    writer.write(2, DATA)
    assert writer.complete(2 * len(DATA)).size == 2 * len(DATA)
    wait_for(lambda: len(threads()) < 2)
    assert place.files() == {NAME: bytes(DATA) * 2}
    store.close()


def test_what_comes_later_still_is_found_by_cleaning_up(place: Place) -> None:
    store = place.store("open wb", 1, policy=RetryPolicy(outage=AT_ONCE, first_pause=0.01))
    store.put(KEY, DATA)
    RELEASE.set()
    wait_for(lambda: len(place.files()) == 2)
    assert [info.key for info in store.find("backups/")] == [KEY]
    [late] = [info.key for info in store.find("backups/", unfinished=True) if info.key != KEY]
    assert late.endswith(".part")
    store.delete([late])
    assert list(place.files()) == [NAME]
    store.close()


@pytest.mark.parametrize("where", ["makedirs", "open wb", "write"])
def test_a_connection_that_is_reset_before_a_part_has_arrived_is_made_again(place: Place, where: str) -> None:
    store = place.store(where, 2, how="reset", policy=RetryPolicy(outage=AT_ONCE, first_pause=0.01))
    writer = store.begin(KEY)
    writer.write(1, DATA)
    writer.complete(len(DATA))
    assert place.files() == {NAME: DATA}
    store.close()


def test_threads_that_are_left_behind_are_few_and_then_calls_fail_at_once(place: Place) -> None:
    store = place.store("info", MOST_LEFT + 1)
    for _ in range(MOST_LEFT):
        with pytest.raises(Unreachable, match="did not end in"):
            store.stat(KEY)
    with pytest.raises(Unreachable, match=f"{MOST_LEFT} earlier calls still hang"):
        store.stat(KEY)
    assert len(threads()) == MOST_LEFT
    RELEASE.set()
    wait_for(lambda: not threads())
    store.put(KEY, DATA)  # the calls have ended, so others can be made
    store.close()


class Unclosable(HangingFileSystem):
    def close(self) -> None:
        RELEASE.wait()


def test_a_store_whose_calls_hang_takes_no_other_store_with_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, "hanging", Unclosable)
    other = place.store("", 0)
    other.put(KEY, DATA)
    store = place.store("info", MOST_LEFT, limit=0.2)
    for _ in range(MOST_LEFT):
        with pytest.raises(Unreachable, match="did not end in"):
            store.stat(KEY)
    assert other.stat(KEY).size == len(DATA)
    store.close()
    other.close()


def test_an_abort_waits_for_no_call_that_hangs(place: Place) -> None:
    store = place.store("write", limit=600)
    writer = store.begin(KEY)
    failed = threading.Event()

    def write() -> None:
        with pytest.raises(StorageError):
            writer.write(1, DATA)
        failed.set()

    thread = threading.Thread(target=write)
    thread.start()
    wait_for(lambda: any(name.endswith(".part") for name in place.files()))
    writer.abort()
    assert failed.wait(AT_ONCE)
    thread.join()
    assert place.files() == {}
    store.close()


def test_a_call_that_works_for_longer_than_the_limit_is_let_work(place: Place) -> None:
    """As one that lists a million files."""
    store = place.store("ls", 0, how="work")
    store.put(KEY, DATA)
    place.arm(1)
    assert [info.key for info in store.find("backups/")] == [KEY]
    store.close()


def test_a_store_that_is_forgotten_leaves_no_thread(place: Place) -> None:
    place.store("").put(KEY, DATA)
    wait_for(lambda: not threads())


class OfOneThread(HangingFileSystem):
    """As one whose library keeps its connection for the thread that made it."""

    def __init__(self, **options: Any) -> None:
        self._thread = threading.get_ident()
        super().__init__(**options)

    def at(self, where: str) -> None:
        assert threading.get_ident() == self._thread, where


def test_all_calls_come_from_the_thread_that_made_the_filesystem(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, "hanging", OfOneThread)
    store = place.store("")
    thread = threading.Thread(target=store.put, args=(KEY, DATA))
    thread.start()
    thread.join()
    assert [info.key for info in store.find("backups/")] == [KEY]
    store.delete([KEY])
    store.close()


FORKED = """
import os, sys
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy

options = {"path": sys.argv[1], "target_protocol": "file"}
store = open_store("dir://", options, timeout=600, policy=RetryPolicy(outage=60, first_pause=0.01))
store.put("key", memoryview(b"data"))
pid = os.fork()
if not pid:
    os._exit(store.stat("key").size)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_process_that_was_forked_makes_connections_of_its_own(tmp_path: Path) -> None:
    """The threads of those that it has inherited are not there."""
    line = [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=AT_ONCE, check=False)
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr
