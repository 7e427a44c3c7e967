"""A file gets its name by a copy, where its filesystem has no request for it: what is reported as stored stays so."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
from fsspec.implementations.dirfs import DirFileSystem

from fsspec_gp_plugin.errors import StorageError, Unreachable
from fsspec_gp_plugin.storage.files.dialect import Dialect
from fsspec_gp_plugin.storage.files.store import FsspecStore
from tests.hanging import RELEASE, CopyingFileSystem, HangingFileSystem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fsspec_gp_plugin.storage.files.store import FsspecWriter

DATA = memoryview(os.urandom(10_000))


class Place:
    """Where the files are, and stores whose moves hang."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._calls = folder, folder / "calls"
        self._calls.mkdir()
        self._stores: list[FsspecStore] = []

    def begin(
        self, kind: type[HangingFileSystem], times: int, *, how: str = "hang", within: bool = False
    ) -> FsspecWriter:
        """An upload of which the next so many moves hang; `within`: on a filesystem that hands calls to another."""
        for number in range(times):
            (self._calls / str(number)).touch()
        where = "cp" if issubclass(kind, CopyingFileSystem) else "mv"

        def make() -> HangingFileSystem | DirFileSystem:
            fs = kind(where=where, folder=str(self._calls), how=how, skip_instance_cache=True)
            return DirFileSystem(str(self.folder), fs, skip_instance_cache=True) if within else fs

        store = FsspecStore(Dialect(make, 1.0 if how == "hang" else 60.0), "root" if within else f"{self.folder}/root")
        self._stores.append(store)
        return store.begin("key")

    def close(self) -> None:
        """End what hangs."""
        RELEASE.set()
        for store in self._stores:
            store.close()
        for thread in threading.enumerate():
            if thread.name == "fsspec":
                thread.join(20)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    RELEASE.clear()
    place = Place(tmp_path)
    yield place
    place.close()


@pytest.mark.parametrize("within", [False, True], ids=["itself", "within another"])
def test_a_copy_that_may_go_on_later_is_not_made_again_and_an_abort_tells(place: Place, within: bool) -> None:
    writer = place.begin(CopyingFileSystem, 1, within=within)
    writer.write(1, DATA)
    with pytest.raises(StorageError, match="root/key was being written, so it may still change") as caught:
        writer.complete(len(DATA))
    assert not isinstance(caught.value, Unreachable)
    with pytest.raises(StorageError, match="root/key was being completed, so it, or a part of it, may be visible"):
        writer.abort()


def test_a_rename_that_hangs_is_made_again(place: Place) -> None:
    writer = place.begin(HangingFileSystem, 1)
    writer.write(1, DATA)
    with pytest.raises(Unreachable, match=r"mv\(\) did not end in"):
        writer.complete(len(DATA))
    assert writer.complete(len(DATA)).size == len(DATA)


def test_a_copy_that_fails_leaves_no_part_of_the_file_at_its_name(place: Place) -> None:
    writer = place.begin(CopyingFileSystem, 2, how="full")
    writer.write(1, DATA)
    with pytest.raises(StorageError, match="the disk is full"):
        writer.complete(len(DATA))
    with pytest.raises(StorageError, match="may be visible"):
        writer.abort()
    assert list((place.folder / "root").iterdir()) == []
