"""What setup proves, and what deletion insists on, with stores that lie, refuse or retain."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import AccessDenied, NotFound, StorageError, Unreachable
from fsspec_gp_plugin.integrity import run_state
from fsspec_gp_plugin.integrity.claim import new_claim
from fsspec_gp_plugin.integrity.cluster import Cluster
from fsspec_gp_plugin.log import Log
from fsspec_gp_plugin.process import Streams
from fsspec_gp_plugin.protocol import directories, hooks
from fsspec_gp_plugin.protocol.context import Context
from fsspec_gp_plugin.storage.contract import ObjectInfo
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

TIMESTAMP = "20260101120000"
DIRECTORY = f"/data/gpseg-1/backups/20260101/{TIMESTAMP}"
PREFIX = f"backups/20260101/{TIMESTAMP}/"


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeStore], Context]:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = tmp_path / "config.yaml"
    config.write_text("executablepath: /x\noptions:\n  url: s3://bucket\n")
    return lambda store: Context(Streams(0, 1, 2), Log(str(tmp_path / "log")), "test", str(config), store)


def failing(*methods: str, kind: type[Exception] = AccessDenied) -> FakeStore:
    def before(method: str, _key: str, _number: int) -> None:
        if method in methods:
            raise kind("denied")

    return FakeStore(before)


def test_setup_for_backup_tries_all_that_a_backup_will_do(context: Callable[[FakeStore], Context]) -> None:
    store = FakeStore()
    hooks.setup_plugin_for_backup(context(store), DIRECTORY, "master", '"-1"')
    steps = [call[0] for call in store.calls if call[0] != "created"]
    # The claim is written twice: only its refusal proves that the store creates nothing that is there.
    assert steps[:3] == ["create", "create", "put"]
    # Two uploads at once, one of which is taken back.
    assert sorted(steps[3:9]) == ["abort", "complete", "write", "write", "write", "write"]
    assert steps[9:] == ["fetch", "piece", "read", "piece"]
    kept = sorted(key.removeprefix(f"{PREFIX}fsspec_gp_plugin/") for key in store.objects)
    assert kept[0] == "claim.json"
    assert kept[1].startswith(f"marks/{os.uname().nodename}.")
    assert len(kept) == 2
    probes = [call[1] for call in store.calls if call[0] in ("write", "abort", "complete", "read")]
    assert {key.startswith(f"{PREFIX}fsspec_gp_plugin/probe_") for key in probes} == {True}


def test_a_hook_that_is_killed_refuses_its_run(context: Callable[[FakeStore], Context]) -> None:
    """The refusal is noted before the store is asked for anything, and taken back at the very end."""
    why: list[str | None] = []
    store = FakeStore(lambda *_: why.append(refusal(made)))
    made = context(store)
    hooks.setup_plugin_for_backup(made, DIRECTORY, "master", "-1")
    assert set(why) == {"its setup hook did not come to its end"}
    assert refusal(made) is None


def refusal(context: Context) -> str | None:
    """What the host remembers."""
    return run_state.read_standing(context.config.place, TIMESTAMP, "/data/gpseg-1")[0]


@pytest.mark.parametrize("kind", [AccessDenied, Unreachable, StorageError])
def test_a_run_that_fails_takes_back_what_is_its_own_and_no_claim_of_another(
    context: Callable[[FakeStore], Context], kind: type[StorageError]
) -> None:
    """The winner comes between the loser's look and its claim."""
    winner = new_claim(TIMESTAMP, Cluster(host="winner"))

    def before(method: str, key: str, _number: int) -> None:
        if method == "create":
            store.objects.setdefault(key, winner.encode())
        elif method == "fetch":
            raise kind("the answer gets lost")

    store = FakeStore(before)
    made = context(store)
    with pytest.raises(StorageError):
        hooks.setup_plugin_for_backup(made, DIRECTORY, "master", "-1")
    assert store.objects == {f"{PREFIX}fsspec_gp_plugin/claim.json": winner.encode()}
    assert refusal(made) is not None


def test_a_run_that_fails_later_leaves_nothing(context: Callable[[FakeStore], Context]) -> None:
    store = failing("complete", kind=StorageError)
    with pytest.raises(StorageError):
        hooks.setup_plugin_for_backup(context(store), DIRECTORY, "master", "-1")
    assert store.objects == {}


def test_a_host_that_can_not_read_the_claim_keeps_the_mark_that_it_has(
    context: Callable[[FakeStore], Context],
) -> None:
    """The coordinator's host is a segment host, too, and its credentials may only write."""
    store = failing("fetch", "read")
    made = context(store)
    hooks.setup_plugin_for_backup(made, DIRECTORY, "master", "-1")
    hooks.setup_plugin_for_backup(made, DIRECTORY.replace("gpseg-1", "gpseg0"), "segment_host")
    assert sum(key.endswith(".mark") for key in store.objects) == 1
    run = run_state.read_run(made.config.place, TIMESTAMP)
    assert run is not None
    assert run.claim
    assert run.directories == ("/data/gpseg-1", "/data/gpseg0")


def test_segments_make_no_requests_of_their_own(context: Callable[[FakeStore], Context]) -> None:
    store = FakeStore()
    hooks.setup_plugin_for_backup(context(store), DIRECTORY, "segment", '"0"')
    hooks.setup_plugin_for_restore(context(store), DIRECTORY, "segment", "0")
    assert store.calls == []


class LyingStore(FakeStore):
    """Gives back other bytes of the same number."""

    def _pieces(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        del info, start
        into[:] = b"?" * len(into)
        yield len(into)


class CuttingStore(FakeStore):
    """Gives back less."""

    def stat(self, key: str) -> ObjectInfo:
        return ObjectInfo(key, super().stat(key).size - 1)


@pytest.mark.parametrize("store", [LyingStore(), CuttingStore()])
def test_a_store_that_gives_back_something_else_fails_setup(
    context: Callable[[FakeStore], Context], store: FakeStore
) -> None:
    with pytest.raises(StorageError, match="does not give back what was written"):
        hooks.setup_plugin_for_backup(context(store), DIRECTORY, "master", "-1")
    assert store.objects == {}


class VisibleStore(FakeStore):
    """Keeps what was aborted, as a filesystem does whose file objects commit when they are dropped."""

    def step(self, method: str, key: str, number: int = 0) -> None:
        super().step(method, key, number)
        if method == "abort":
            self.objects[key] = b"half"


class OtherRangeStore(FakeStore):
    """Ignores where a range begins."""

    def read(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        del start
        return super().read(info, 0, into)


class BlindStore(FakeStore):
    """Lists nothing."""

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        del prefix, unfinished
        return iter(())


@pytest.mark.parametrize(
    ("store", "words"),
    [
        (VisibleStore(), "aborted is visible"),
        (OtherRangeStore(), "other bytes than those asked for"),
        (BlindStore(), "listing of .* is wrong: no such object"),
    ],
)
def test_a_store_that_can_hold_no_backups_fails_setup(
    context: Callable[[FakeStore], Context], monkeypatch: pytest.MonkeyPatch, store: FakeStore, words: str
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(StorageError, match=words):
        hooks.setup_plugin_for_backup(context(store), DIRECTORY, "master", "-1")
    assert store.objects == {}


@pytest.mark.parametrize("methods", [["read"], ["abort"], ["read", "abort"]])
def test_credentials_that_may_only_write_pass_setup(
    context: Callable[[FakeStore], Context], methods: list[str]
) -> None:
    hooks.setup_plugin_for_backup(context(failing(*methods)), DIRECTORY, "master", "-1")


@pytest.mark.parametrize("method", ["write", "put"])
@pytest.mark.parametrize("kind", [AccessDenied, Unreachable])
def test_credentials_that_may_not_write_fail_setup(
    context: Callable[[FakeStore], Context], method: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        hooks.setup_plugin_for_backup(context(failing(method, kind=kind)), DIRECTORY, "master", "-1")


def test_setup_for_restore_reads_what_it_finds(context: Callable[[FakeStore], Context]) -> None:
    store = FakeStore()
    for name in ("toc.yaml", "report"):
        store.objects[f"{PREFIX}gpbackup_{TIMESTAMP}_{name}"] = b"content"
    hooks.setup_plugin_for_restore(context(store), DIRECTORY, "master", "-1")
    assert ("read", f"{PREFIX}gpbackup_{TIMESTAMP}_toc.yaml") in [call[:2] for call in store.calls]
    denied = failing("read")
    denied.objects = store.objects
    with pytest.raises(AccessDenied):
        hooks.setup_plugin_for_restore(context(denied), DIRECTORY, "master", "-1")


@pytest.mark.parametrize(("name", "content"), [("toc.yaml", b"x"), ("report", b"x"), ("report", b"")])
def test_a_backup_that_gpbackup_did_not_finish_is_told(
    context: Callable[[FakeStore], Context], name: str, content: bytes
) -> None:
    store = FakeStore()
    for written in ("metadata.sql", "toc.yaml", "report"):
        store.objects[f"{PREFIX}gpbackup_{TIMESTAMP}_{written}"] = b"content"
    if content:
        del store.objects[f"{PREFIX}gpbackup_{TIMESTAMP}_{name}"]
    else:
        store.objects[f"{PREFIX}gpbackup_{TIMESTAMP}_{name}"] = b""
    with pytest.raises(NotFound, match=f"is not complete: gpbackup_{TIMESTAMP}_{name}"):
        hooks.setup_plugin_for_restore(context(store), DIRECTORY, "master", "-1")


def test_a_table_of_contents_of_a_segment_alone_is_no_backup(context: Callable[[FakeStore], Context]) -> None:
    store = FakeStore()
    store.objects[f"{PREFIX}gpbackup_0_{TIMESTAMP}_toc.yaml"] = b"content"
    with pytest.raises(NotFound, match="is not complete"):
        hooks.setup_plugin_for_restore(context(store), DIRECTORY, "master", "-1")


class RetainingStore(FakeStore):
    """Accepts a delete and keeps some objects, as under a retention rule."""

    def delete(self, keys: Iterable[str]) -> None:
        super().delete(key for key in keys if not key.endswith("kept"))


def test_a_backup_that_is_not_gone_after_its_deletion_is_an_error(context: Callable[[FakeStore], Context]) -> None:
    store = RetainingStore()
    store.objects = {f"{PREFIX}gone": b"", f"{PREFIX}kept": b""}
    with pytest.raises(StorageError, match=f"{PREFIX}kept is still there"):
        directories.delete_backup(context(store), TIMESTAMP)
    assert list(store.objects) == [f"{PREFIX}kept"]


def test_a_signal_counts_more_than_an_upload_that_can_not_be_aborted(context: Callable[[FakeStore], Context]) -> None:
    """As where it comes when the object is complete, and not yet compared."""

    def before(method: str, key: str, _number: int) -> None:
        if "written" in key and method == "complete":
            raise KeyboardInterrupt
        if "written" in key and method == "abort":
            raise StorageError("the object is complete and visible")

    with pytest.raises(KeyboardInterrupt):
        hooks.setup_plugin_for_backup(context(FakeStore(before)), DIRECTORY, "master", "-1")
