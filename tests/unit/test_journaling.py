"""What is written down of a backup, where that fails, comes twice, or is left by somebody who was killed."""

from __future__ import annotations

import os
import resource
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin import private
from fsspec_gp_plugin.errors import LocalFileError
from fsspec_gp_plugin.integrity import restore_state
from fsspec_gp_plugin.integrity.catalog import Catalog
from fsspec_gp_plugin.integrity.entries import Entry
from fsspec_gp_plugin.integrity.entry_sorting import sort_entries
from fsspec_gp_plugin.integrity.journal import Journal
from fsspec_gp_plugin.integrity.manifest import Header
from fsspec_gp_plugin.log import Log
from fsspec_gp_plugin.process import Streams
from fsspec_gp_plugin.protocol.context import Context
from fsspec_gp_plugin.protocol.journaling import store_and_journal
from fsspec_gp_plugin.storage.contract import ObjectInfo
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

T = "20260101120000"
URL = "s3://bucket"
PLACE = private.Place(URL)
NAME = f"gpbackup_0_{T}_16384"
KEY = f"backups/20260101/{T}/{NAME}"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def context(home: Path) -> Context:
    config = home / "config.yaml"
    config.write_text(f"executablepath: /x\noptions:\n  url: {URL}\n")
    return Context(Streams(0, 1, 2), Log(str(home / "log")), "backup_data", str(config), FakeStore())


def journals(home: Path) -> Path:
    """The directory of journals."""
    os.close(PLACE.open_directory("journal", make=True))
    return home / ".fsspec_gp_plugin" / "journal"


def noted(*entries: Entry) -> None:
    with Journal(PLACE, T) as journal:
        journal.prepare()
        for one in entries:
            journal.add(one)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may be larger: a write that would go beyond is done in part, and the next one not at all."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("room", "words"), [(0, "File too large"), (10, "no space left on the device")])
def test_an_object_that_can_not_be_noted_is_taken_back(context: Context, room: int, words: str) -> None:
    """Neither a record that could not be written nor one that was written in part counts."""
    context.store.put("another", memoryview(b"x"))

    def send() -> ObjectInfo:
        context.store.put(KEY, memoryview(b"data"))
        return ObjectInfo(KEY, 4, None, 1)

    with (
        largest_file(room),
        pytest.raises(LocalFileError, match=f"the journal of checksums .*: {words}; `checksum: off` does without"),
    ):
        store_and_journal(context, KEY, send)
    assert [info.key for info in context.store.find("")] == ["another"]


def test_nothing_is_sent_where_the_disk_is_full(context: Context) -> None:
    """An empty journal could still be made there."""
    with largest_file(0), pytest.raises(LocalFileError, match="File too large"):
        store_and_journal(context, KEY, lambda: pytest.fail("it was sent"))


def test_nothing_is_sent_where_nothing_can_be_noted(home: Path, context: Context) -> None:
    (journals(home) / f"{PLACE.name_of(T)}.open").mkdir()
    with pytest.raises(LocalFileError, match=r"can't write the journal of checksums .*: Is a directory"):
        store_and_journal(context, KEY, lambda: pytest.fail("it was sent"))


def test_an_object_is_noted_in_its_size_and_checksum(context: Context) -> None:
    store_and_journal(context, KEY, lambda: ObjectInfo(KEY, 4, None, 7))
    with Journal(PLACE, T) as journal:
        assert (list(journal.take()), journal.damaged) == ([Entry(NAME, 4, 7)], 0)


@pytest.mark.parametrize("reverse", [False, True])
def test_of_two_journals_that_were_taken_the_later_one_counts(home: Path, reverse: bool) -> None:
    """Whatever they are called: as where a cleanup hook failed, and a second attempt noted the object anew."""
    for size in (1, 2, 3):
        noted(Entry(NAME, size, size))
        with Journal(PLACE, T) as journal:
            journal.take()
    in_time = sorted(journals(home).iterdir(), reverse=reverse)
    assert len(in_time) == 3
    for seconds, path in enumerate(in_time):
        os.utime(path, (1000 + seconds, 1000 + seconds))
    last = next(size for size in (1, 2, 3) if f',{size},"0000000{size}"' in in_time[-1].read_text())
    with Journal(PLACE, T) as journal, sort_entries(journal.take()) as found:
        assert list(found) == [Entry(NAME, last, last)]


def manifest(created: int, size: int) -> Iterable[Header | Entry]:
    """What a host's manifest says of the object, and of one that only this manifest names."""
    return [Header(T, "host", created, 2), Entry(NAME, size, size), Entry(f"only in {created}", size, size)]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1), (1, 3, 2)])
def test_of_two_manifests_the_later_one_counts_in_whatever_order_they_are_read(order: tuple[int, ...]) -> None:
    with Catalog(PLACE, T, make=True) as catalog:
        assert (
            catalog.build("them", lambda: [(str(created), manifest(created, 10 + created)) for created in order]) == 4
        )
        assert catalog.entry(NAME) == Entry(NAME, 13, 13)
        assert catalog.entry("only in 1") == Entry("only in 1", 11, 11)


def test_notes_of_restores_that_were_killed_are_swept(home: Path) -> None:
    """After a month. They would keep their catalogs for ever."""
    restore_state.begin_restore(PLACE, T, [T])
    folder = home / ".fsspec_gp_plugin" / "manifests"
    (left,) = folder.iterdir()
    for age_days, stays in ((29, True), (31, False)):
        written = time.time() - age_days * 86400
        os.utime(left, (written, written))
        restore_state.begin_restore(PLACE, "20260101120001", [])
        assert left.exists() == stays
