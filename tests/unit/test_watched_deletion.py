"""What a deletion tells: nothing where nobody watches, a line in a terminal, and how far it came when it ends early."""

from __future__ import annotations

import os
import pty
import signal
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import Interrupted, StorageError
from fsspec_gp_plugin.log import Log
from fsspec_gp_plugin.process import Streams
from fsspec_gp_plugin.protocol import directories
from fsspec_gp_plugin.protocol.context import Context
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

T = "20260101120000"
P = f"backups/20260101/{T}/"
COUNT = 5000


class Ending(FakeStore):
    """Ends after so many batches."""

    def __init__(self, failure: BaseException | None = None, batches: int = 2) -> None:
        super().__init__()
        self.objects = {f"{P}{n:05}": b"" for n in range(COUNT)}
        # One batch after another, so that it is known how many have ended.
        self.capabilities = self.capabilities._replace(lists_by_prefix=False)
        self.failure, self.batches = failure, batches

    def delete(self, keys: Iterable[str]) -> None:
        if not self.batches and self.failure:
            raise self.failure
        self.batches -= 1
        super().delete(keys)


def context(folder: Path, store: FakeStore, stderr: int) -> Context:
    config = folder / "config.yaml"
    config.write_text("executablepath: /x\noptions:\n  url: s3://bucket\n")
    return Context(Streams(-1, os.open("/dev/null", os.O_WRONLY), stderr), Log(str(folder)), "test", str(config), store)


@pytest.mark.parametrize("failure", [Interrupted(signal.SIGINT), StorageError("denied")])
@pytest.mark.parametrize("command", ["delete_backup", "delete_directory"])
def test_one_that_ends_early_tells_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, command: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    store = Ending(failure)
    made = context(tmp_path, store, -1)
    with pytest.raises(type(failure)):
        getattr(directories, command)(made, T if command == "delete_backup" else P)
    assert made.left_behind == ["2,000 objects deleted; run it again to delete the rest"]
    store.failure = None
    getattr(directories, command)(context(tmp_path, store, -1), T if command == "delete_backup" else P)
    assert store.objects == {}


def test_one_that_has_not_begun_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    made = context(tmp_path, Ending(StorageError("denied"), 0), -1)
    with pytest.raises(StorageError):
        directories.delete_backup(made, T)
    assert made.left_behind == []


def test_only_a_terminal_shows_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a line on standard error would be taken for an error."""
    monkeypatch.setenv("HOME", str(tmp_path))
    ours, terminal = pty.openpty()
    reader, writer = os.pipe()
    try:
        directories.delete_backup(context(tmp_path, Ending(), terminal), T)
        shown = ""
        while not shown.endswith("deleted\r\x1b[K"):
            shown += os.read(ours, 4096).decode()
        assert shown.startswith("\r\x1b[K1,000 objects deleted")
        directories.delete_backup(context(tmp_path, Ending(), writer), T)
        os.close(writer)
        assert os.read(reader, 4096) == b""
    finally:
        for fd in (ours, terminal, reader):
            os.close(fd)
