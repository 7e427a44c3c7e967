"""What is found wrong with backups of real gpbackups, which have no manifests, and with objects in an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin import private
from fsspec_gp_plugin.backups.inspection import Inspector
from fsspec_gp_plugin.backups.restore_plans import mark_broken
from fsspec_gp_plugin.backups.survey import survey
from fsspec_gp_plugin.integrity.entries import Entry
from tests.fakes import FakeStore
from tests.made_manifests import put_manifest
from tests.recorded import CHAIN, FAILED, NAMES, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fsspec_gp_plugin.backups.findings import Inspection
    from fsspec_gp_plugin.storage.contract import ObjectInfo
    from tests.recorded import Recorded

REPORT = "Incremental: {incremental}\nBackup Status: Success\n"


class ArchivingStore(FakeStore):
    """Tells of some objects that they are in the archive, and counts listings."""

    def __init__(self) -> None:
        super().__init__()
        self.archived: set[str] = set()
        self.listed: list[str] = []

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        self.listed.append(prefix)
        for info in super().find(prefix, unfinished=unfinished):
            yield info._replace(archived=info.key in self.archived)


def open_config_store(*names: str) -> tuple[ArchivingStore, list[Recorded]]:
    """A target with these backups."""
    store, found = ArchivingStore(), [recorded(name) for name in names]
    for name, one in zip(names, found, strict=True):
        store.objects |= one.objects
        if name != FAILED:
            text = REPORT.format(incremental=name.startswith("incremental"))
            store.objects[f"{one.prefix}gpbackup_{one.timestamp}_report"] = text.encode()
    return store, found


def add_manifest(store: FakeStore, one: Recorded) -> None:
    """Of all objects of a backup."""
    sizes = {key[len(one.prefix) :]: len(data) for key, data in store.objects.items() if key.startswith(one.prefix)}
    entries = [Entry(name, size, 0) for name, size in sorted(sizes.items())]
    put_manifest(store, one.prefix, entries)


@pytest.fixture
def place(tmp_path: Path) -> private.Place:
    return private.Place("s3://bucket", str(tmp_path / "state"))


def inspected(place: private.Place, store: FakeStore, one: Recorded) -> Inspection:
    [backup] = survey(store, one.timestamp)
    found = Inspector(place, store, ()).inspect(backup)
    read: list[Entry] = []

    def look(objects: Iterator[Entry]) -> Iterator[tuple[Entry, None]]:
        for one in objects:
            read.append(one)
            yield one, None

    assert Inspector(place, store, ()).inspect(backup, read=look) == found
    assert len(read) == found.right
    return found


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_wrong_with_what_gpbackup_has_made(place: private.Place, name: str) -> None:
    store, backups = open_config_store(*([name] if name not in CHAIN else CHAIN[: CHAIN.index(name) + 1]))
    one = backups[-1]
    found = inspected(place, store, one)
    assert (found.problems, found.not_checked) == ([], len(one.names))
    [reason] = found.reasons
    assert reason.startswith("there is no manifest, so ")
    add_manifest(store, one)
    found = inspected(place, store, one)
    assert (found.result, found.reasons, found.right) == ("ok", [], len(one.names))


def test_what_is_gone_is_missed_with_and_without_manifests(place: private.Place) -> None:
    store, [one] = open_config_store("default")
    for name in one.data[:2]:
        del store.objects[one.prefix + name]
    first = f"{one.prefix}{min(one.data[:2])}"
    by = "the target was compared with gpbackup's config file and table of contents"
    told = f"2 of 20 objects are missing, the first is {first}; {by}"
    assert inspected(place, store, one).problems == [told]
    add_manifest(store, one)
    # The manifest of the host whose objects they are is not there, either.
    found = inspected(place, store, one)
    assert (found.problems, found.missing) == ([told], 2)


@pytest.mark.parametrize("name", ["gpbackup_{0}_probe_sdw1-a_0123abcd_written", "fsspec_gp_plugin/probe_x_written"])
def test_what_a_probe_has_left_is_no_object_of_the_backup(place: private.Place, name: str) -> None:
    """Where the credentials may not delete."""
    store, [one] = open_config_store("default")
    add_manifest(store, one)
    store.objects[one.prefix + name.format(one.timestamp)] = b"probe"
    found = inspected(place, store, one)
    assert (found.result, found.not_checked, found.right) == ("ok", 0, len(one.names))
    assert [backup.objects for backup in survey(store)] == [len(one.names)]


@pytest.mark.parametrize("of_base", [False, True])
def test_what_gpbackups_record_calls_failed_is_a_fault(place: private.Place, of_base: bool) -> None:
    """The report of a gpbackup that has panicked may say success."""
    store, backups = open_config_store(*CHAIN[:2])
    theirs, last = backups[0 if of_base else 1], backups[1]
    add_manifest(store, last)
    key = f"{theirs.prefix}gpbackup_{theirs.timestamp}_config.yaml"
    assert b"status: Success" in store.objects[key]
    store.objects[key] = store.objects[key].replace(b"status: Success", b"status: Failure")
    told = f"gpbackup's config file, {key}, says that it failed"
    assert inspected(place, store, last).problems == [
        f"it needs the backup {theirs.timestamp}, of which {told}" if of_base else told
    ]


def test_of_a_failed_backup_nothing_is_called_right(place: private.Place) -> None:
    store, [one] = open_config_store(FAILED)
    add_manifest(store, one)
    found = inspected(place, store, one)
    assert (found.result, found.not_checked) == ("unchecked", 0)
    assert "gpbackup did not finish this backup" in found.reasons[0]


def test_the_whole_chain_is_looked_at(place: private.Place) -> None:
    store, backups = open_config_store(*CHAIN)
    last = backups[-1]
    add_manifest(store, last)
    found = inspected(place, store, last)
    assert found.needs == [one.timestamp for one in backups[:-1]]
    assert found.result == "ok"
    gone = min(backups[1].data)
    del store.objects[backups[1].prefix + gone]
    [problem] = inspected(place, store, last).problems
    needed = backups[1]
    told = f"it needs the backup {needed.timestamp}, of which 1 of 18 objects is missing: {needed.prefix}{gone};"
    assert problem.startswith(told)
    # The restore of the last reads no data of the third, and yet its table of contents.
    for name in backups[2].data:
        del store.objects[backups[2].prefix + name]
    assert len(inspected(place, store, last).problems) == 1
    del store.objects[f"{backups[2].prefix}gpbackup_{backups[2].timestamp}_toc.yaml"]
    why = f"it needs the backup {backups[2].timestamp}, which gpbackup did not finish"
    assert why in inspected(place, store, last).problems
    every = survey(store)
    mark_broken(store, every)
    assert [one.broken for one in every] == ["", "", "", why]
    assert [one.shown_state for one in every] == ["complete", "complete", "incomplete", "broken"]
    assert every[-1].state == "complete"


def test_what_several_backups_need_is_listed_once(place: private.Place) -> None:
    store, backups = open_config_store(*CHAIN)
    every = survey(store)
    store.listed.clear()
    inspector = Inspector(place, store, every)
    for backup in every[1:]:
        assert inspector.inspect(backup).problems == []
    assert store.listed.count(backups[0].prefix) == 1


@pytest.mark.parametrize("of_base", [False, True])
def test_what_is_in_an_archive_can_not_be_read(place: private.Place, of_base: bool) -> None:
    store, [base, one] = open_config_store(*CHAIN[:2])
    add_manifest(store, one)
    theirs = base if of_base else one
    store.archived = {theirs.prefix + name for name in theirs.data[:2]}
    found = inspected(place, store, one)
    told = f"2 objects are in the store's archive and can't be read now, the first is {min(store.archived)}"
    assert found.problems == [f"it needs the backup {base.timestamp}, of which {told}" if of_base else told]
    assert found.archived == (0 if of_base else 2)
