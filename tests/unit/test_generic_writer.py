"""A writer of the generic store, on a filesystem that answers when a test lets it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

from fsspec_gp_plugin.errors import StorageError
from fsspec_gp_plugin.storage.generic.dialect import Dialect
from fsspec_gp_plugin.storage.generic.store import FsspecStore

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.storage.generic.output import Output


class SlowToCreate(Dialect):
    """Makes a file when it is too late, as a server does whose client has gone."""

    def __init__(self) -> None:
        super().__init__(lambda: fsspec.filesystem("file", skip_instance_cache=True))
        self.asked = threading.Event()
        self.late = threading.Event()

    def create(self, fs: Any, path: str) -> Output:
        self.asked.set()
        self.late.wait(30)
        return super().create(fs, path)


def test_an_abort_that_can_not_know_whether_a_file_appears_says_so(tmp_path: Path) -> None:
    dialect = SlowToCreate()
    writer = FsspecStore(dialect, f"{tmp_path}/root").begin("folder/key")
    errors: list[Exception] = []

    def write() -> None:
        try:
            writer.write(1, memoryview(b"data"))
        except StorageError as error:
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    assert dialect.asked.wait(10)
    with pytest.raises(StorageError, match="was being made, so it may still appear"):
        writer.abort()
    dialect.late.set()
    thread.join(30)
    assert len(errors) == 1
    # Whoever made it late, and still runs, takes it back.
    assert [path for path in (tmp_path / "root").rglob("*") if path.is_file()] == []
