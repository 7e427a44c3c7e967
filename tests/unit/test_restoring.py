"""What setup for a restore looks for by gpbackup's own files, with and without manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.backups.required import Required, read_required
from fsspec_gp_plugin.errors import NotFound, StorageError
from fsspec_gp_plugin.integrity import marks
from fsspec_gp_plugin.integrity.entries import Entry
from fsspec_gp_plugin.integrity.object_names import name_of_host
from fsspec_gp_plugin.protocol.presence import Scope, check
from fsspec_gp_plugin.storage.mirror import MirroredStore
from tests.made_manifests import put_manifest
from tests.recorded import CHAIN, NAMES, recorded
from tests.unit.restore_host import BY_GPBACKUP, Host, Store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes import FakeStore


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Host(tmp_path)


def before(name: str) -> tuple[str, ...]:
    """The backup, and those that it builds upon."""
    return CHAIN[: CHAIN.index(name) + 1] if name in CHAIN else (name,)


@pytest.mark.parametrize("name", NAMES)
def test_a_backup_that_is_whole_is_restored(host: Host, name: str) -> None:
    """Also one that has no manifest."""
    store = Store(*before(name))
    host.set_up(store, name)
    assert "WARNING" not in host.log()
    one = recorded(name)
    assert store.listed.count(one.prefix) == 1


@pytest.mark.parametrize("options", ["", "  checksum: off\n"])
@pytest.mark.parametrize("name", ["default", "single_data_file_zstd", "with_stats", "greengage"])
def test_a_backup_that_lacks_an_object_is_refused(host: Host, name: str, options: str) -> None:
    """What gprestore itself fails without, and what would make it hang."""
    one = recorded(name)
    needed = [
        file for file in one.names if not file.endswith(("_plugin_config.yaml", "_toc.yaml", "_report", "config.yaml"))
    ]
    needed.append(next(file for file in one.data if file.endswith(("_toc.yaml", ".gz"))))
    host.options = options
    for gone in {needed[0], needed[-1], next(file for file in needed if not file.startswith("gpbackup_0"))}:
        store = Store(name)
        del store.objects[one.prefix + gone]
        with pytest.raises(NotFound, match=f"1 of [0-9]+ objects is missing: .*{gone}; {BY_GPBACKUP}; to restore what"):
            host.set_up(store, name)


def test_what_there_is_is_restored_where_that_is_wanted(host: Host) -> None:
    one = recorded("default")
    store = Store("default")
    for gone in one.data[:3]:
        del store.objects[one.prefix + gone]
    host.options = "  restore_incomplete: on\n"
    host.set_up(store, "default")
    assert f"3 of 20 objects are missing, the first is {one.prefix}{one.data[0]}; {BY_GPBACKUP}" in host.log()
    assert host.log().count("WARNING") == 1


def test_what_was_found_for_a_restore_of_what_there_is_counts_for_no_other(host: Host) -> None:
    """The next restore of the backup on this host may want it whole."""
    one = recorded("default")
    store = Store("default")
    del store.objects[one.prefix + one.data[0]]
    host.options = "  restore_incomplete: on\n"
    host.set_up(store, "default")
    host.options = ""
    with pytest.raises(NotFound, match="1 of 20 objects is missing"):
        host.set_up(store, "default", "segment_host")


@pytest.mark.parametrize("name", ["default", "without_a_record"])
def test_what_the_store_has_archived_is_told(host: Host, name: str) -> None:
    one = recorded("default")
    store = Store("default")
    if name == "without_a_record":
        del store.objects[f"{one.prefix}gpbackup_{one.timestamp}_config.yaml"]
        put_manifest_of(store, [file for file in one.names if "config" not in file])
    store.archived = {one.prefix + one.data[0], one.prefix + one.data[9]}
    told = f"2 objects are in the store's archive and can't be read now, the first is {one.prefix}{one.data[0]}; take"
    with pytest.raises(StorageError, match=told):
        host.set_up(store, "default")
    host.options = "  restore_incomplete: on\n"
    host.set_up(store, "default")


def put_manifest_of(store: FakeStore, names: list[str], mark_id: str = "") -> None:
    one = recorded("default")
    entries = [Entry(name, len(store.objects[one.prefix + name]), 0) for name in sorted(names)]
    put_manifest(store, one.prefix, entries, "", mark_id)


def test_a_backup_that_gpbackups_record_calls_failed_is_restored_with_a_warning(host: Host) -> None:
    """The restore does not ask, and the report may call it whole; the same of what an incremental one builds upon."""
    store = Store(*CHAIN[:2])
    for one in map(recorded, CHAIN[:2]):
        key = f"{one.prefix}gpbackup_{one.timestamp}_config.yaml"
        store.objects[key] = store.objects[key].replace(b"status: Success", b"status: Failure")
    host.set_up(store, CHAIN[1])
    for one in map(recorded, CHAIN[:2]):
        assert f"gpbackup's own record says that the backup {one.timestamp} failed" in host.log()
    assert host.log().count("WARNING") == 2


def test_what_a_probe_has_left_is_not_missed_by_a_manifest(host: Host) -> None:
    one = recorded("default")
    store = Store("default")
    put_manifest_of(store, one.names)
    store.objects[f"{one.prefix}gpbackup_{one.timestamp}_probe_sdw1_0123abcd_written"] = b"probe"
    host.set_up(store, "default")
    assert "WARNING" not in host.log()


def test_what_no_manifest_names_is_restored_unverified(host: Host) -> None:
    one = recorded("default")
    store = Store("default")
    put_manifest_of(store, one.names)
    host.set_up(store, "default")
    assert "WARNING" not in host.log()
    store = Store("default")
    put_manifest_of(store, [name for name in one.names if not name.startswith("gpbackup_1_")])
    host.set_up(store, "default")
    assert f"{one.timestamp}: 8 objects are in no manifest and are restored unverified" in host.log()
    # A host that left no manifest is no reason to look less.
    del store.objects[one.prefix + one.data[-1]]
    with pytest.raises(NotFound, match=f"1 of 2[01] objects is missing: .*{one.data[-1]}; {BY_GPBACKUP}"):
        host.set_up(store, "default")


def test_a_host_that_left_a_mark_and_no_manifest_is_named(host: Host) -> None:
    one = recorded("default")
    store = Store("default")
    first, second = marks.new_mark_id(), marks.new_mark_id()
    put_manifest_of(store, [name for name in one.names if not name.startswith("gpbackup_1_")], first)
    for number in (first, second):
        store.objects[one.prefix + marks.host_mark_name(number)] = marks.host_mark_content(number, "")
    host.set_up(store, "default")
    told = f"{one.timestamp}: what {name_of_host()} stored is restored unverified, as there is no manifest"
    assert told in host.log()
    assert host.log().count("WARNING") == 2
    # The segments of the other host may have moved to this one.
    store = Store("default")
    put_manifest_of(store, one.names, first)
    store.objects[one.prefix + marks.host_mark_name(second)] = marks.host_mark_content(second, "")
    host.set_up(store, "default")
    assert host.log().count("WARNING") == 2


@pytest.mark.parametrize(
    ("base", "ends", "refused"),
    [
        (0, ".gz", True),
        (1, ".gz", True),
        (2, ".gz", False),
        (2, "report", False),
        (2, "toc.yaml", True),
        (1, "toc.yaml", True),
        (1, "report", True),
        (1, "metadata.sql", False),
    ],
)
def test_an_incremental_backup_needs_those_that_it_builds_upon(host: Host, base: int, ends: str, refused: bool) -> None:
    """Of the third it reads no table, so gprestore fetches its table of contents alone."""
    one = recorded(CHAIN[base])
    store = Store(*CHAIN)
    gone = next(name for name in one.names if name.endswith(ends))
    del store.objects[one.prefix + gone]
    if not refused:
        host.set_up(store, CHAIN[3])
        return
    with pytest.raises(NotFound, match=gone):
        host.set_up(store, CHAIN[3])
    host.options = "  restore_incomplete: on\n"
    host.set_up(store, CHAIN[3])
    assert gone in host.log()


def test_with_single_data_files_the_restore_reads_the_segments_tables_of_contents_of_all(host: Host) -> None:
    """Also of a backup whose data it does not need."""
    store = Store("default", "single_data_file")
    later, base = recorded("single_data_file"), recorded("default")
    key = f"{later.prefix}gpbackup_{later.timestamp}_config.yaml"
    plan = f'restoreplan:\n- timestamp: "{base.timestamp}"\n  tablefqns: []\n'.encode()
    store.objects[key] = store.objects[key].replace(b"restoreplan:\n", plan)
    record = f"{base.prefix}gpbackup_{base.timestamp}_config.yaml"
    store.objects[record] = store.objects[record].replace(b"singledatafile: false", b"singledatafile: true")
    with pytest.raises(NotFound, match=f"gpbackup_0_{base.timestamp}_toc.yaml is not at the target; the restore of"):
        host.set_up(store, "single_data_file")
    for content in (0, 1):
        store.objects[f"{base.prefix}gpbackup_{content}_{base.timestamp}_toc.yaml"] = b"x"
    host.set_up(store, "single_data_file")


def test_what_can_not_be_told_is_not_checked(host: Host) -> None:
    one = recorded("default")
    store = Store("default")
    key = f"{one.prefix}gpbackup_{one.timestamp}_config.yaml"
    store.objects[key] = store.objects[key].replace(b"segmentcount: 2\n", b"")
    del store.objects[one.prefix + one.data[0]]
    host.set_up(store, "default")
    assert "not checked: gpbackup's config file doesn't say how many segments there were" in host.log()


def test_what_one_target_lacks_may_be_at_the_other(host: Host) -> None:
    one = recorded("default")
    lead, other = Store("default"), Store("default")
    _, required = read_required(lead, one.timestamp)
    del lead.objects[one.prefix + one.data[0]]
    lead.archived = {one.prefix + one.data[1]}
    other.archived = {one.prefix + one.data[2]}
    del other.objects[one.prefix + one.data[3]]
    look(host, lead, other, required)
    del other.objects[one.prefix + one.data[0]]
    with pytest.raises(NotFound, match=f"1 of 20 objects is missing: .*{one.data[0]};"):
        look(host, lead, other, required)


def look(host: Host, lead: Store, other: Store, required: Required) -> None:
    store = MirroredStore(lead, lambda: other, lead)
    host.options = "  replica_url: s3://replica\n"
    check(host.context(), store, Scope(required.timestamp, whole=True), required, None)
