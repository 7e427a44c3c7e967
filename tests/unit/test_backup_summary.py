"""The summary in the coordinator's manifest of an encrypted backup: what is in it, and what hostile ones can't do."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsspec_gp_plugin import private
from fsspec_gp_plugin.backups.backup_summary import BackupSummary, find_summary, parse_summary, read_listed_tables
from fsspec_gp_plugin.backups.gpbackup_files import parse_backup_config
from fsspec_gp_plugin.backups.summarizing import NoNoteError, join_notes, make_note, part_of
from fsspec_gp_plugin.integrity import manifest, oid_list
from fsspec_gp_plugin.integrity.entries import Entry
from fsspec_gp_plugin.integrity.manifest import BadManifest, Budget
from fsspec_gp_plugin.integrity.manifest_packing import PackedSummary, pack
from fsspec_gp_plugin.integrity.summary_notes import read_notes, remove_notes, write_note
from fsspec_gp_plugin.keys import backup_prefix
from fsspec_gp_plugin.storage.contract import ObjectInfo
from tests.cli.whole import contents, record
from tests.fakes import FakeStore
from tests.recorded import NAMES, recorded
from tests.sealed_backups import RECIPIENT, report, summarize

if TYPE_CHECKING:
    from pathlib import Path

T = "20260102030405"
PREFIX = backup_prefix(T)
MANIFEST = ObjectInfo("manifest", 1, None)
ENTRIES = [Entry(f"gpbackup_{T}_toc.yaml", 10, 5), Entry(f"gpbackup_0_{T}_16384.gz", 3, 7)]
GOOD: dict[str, Any] = {
    "recipients": [RECIPIENT],
    "report": {"backup status": "Success", "database name": "sales"},
    "config": {
        "segments": 2,
        "suffix": ".gz",
        "single_data_file": False,
        "metadata_only": False,
        "with_statistics": False,
        "status": "Success",
        "plan": {T: True},
    },
    "leaf_data": True,
    "tables": 2,
}


def changed(part: str = "", **values: object) -> dict[str, Any]:
    """A summary with other values in one of its parts."""
    return {**GOOD, part: {**GOOD[part], **values}} if part else {**GOOD, **values}


def files(timestamp: str = T) -> dict[str, bytes]:
    start = f"gpbackup_{timestamp}_"
    return {
        f"{start}report": report(timestamp),
        f"{start}config.yaml": record(timestamp, ()).encode(),
        f"{start}toc.yaml": contents().encode(),
        f"{start}metadata.sql": b"CREATE TABLE public.secret",
    }


def put(store: FakeStore, summary: PackedSummary | None, claim: str = "") -> str:
    packed = pack(T, ENTRIES, claim, "0" * 12, summary)
    store.objects[PREFIX + packed.name] = packed.data
    return PREFIX + packed.name


def found(store: FakeStore) -> BackupSummary | None:
    infos = [info for info in store.find(PREFIX) if info.key.endswith("manifest.gz")]
    return find_summary(store, T, infos, [])


@given(st.lists(st.integers(1, (1 << 32) - 1), unique=True, max_size=50).map(sorted))
def test_oids_are_read_as_they_were_listed(oids: list[int]) -> None:
    place = oid_list.OidList(0, len(data := oid_list.pack(oids)), len(oids))
    assert list(manifest.decode_oids("key", place, [data])) == oids


def test_a_million_tables_take_little_room() -> None:
    oids = [16384 + 3 * number for number in range(oid_list.MOST)]
    data = oid_list.pack(oids)
    assert len(data) < 1 << 20
    tracemalloc.start()
    manifest.decode_oids("key", oid_list.OidList(0, len(data), len(oids)), [data])
    assert tracemalloc.get_traced_memory()[1] < 12 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "lines", [b"0\n", b"1\n0\n", b"-1\n", b"1_0\n", b" 1\n", b"4294967295\n1\n", b"1\n2\n3\n", b"1\n", b"1\n2", b"\n\n"]
)
def test_a_wrong_list_of_oids_is_refused(lines: bytes) -> None:
    import gzip

    data = gzip.compress(lines)
    with pytest.raises(BadManifest):
        manifest.decode_oids("key", oid_list.OidList(0, len(data), 2), [data])


@pytest.mark.parametrize("name", NAMES)
def test_a_summary_says_what_gpbackups_files_say(name: str, tmp_path: Path) -> None:
    one = recorded(name)
    written = {**one.written, f"gpbackup_{one.timestamp}_report": report(one.timestamp)}
    said = summarize(written, one.timestamp, tmp_path)
    assert said is not None
    read = parse_summary(json.loads(json.dumps(said.value)), MANIFEST, is_listed=bool(said.oids))
    config = one.written[f"gpbackup_{one.timestamp}_config.yaml"]
    assert read.config is not None
    assert read.config._replace_tables() == parse_backup_config("key", config.splitlines())
