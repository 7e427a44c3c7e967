"""The summary in the coordinator's manifest of an encrypted backup: what is in it, and what hostile ones can't do."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsspec_gp_plugin import private
from fsspec_gp_plugin.backups.backup_summary import (
    BackupSummary,
    find_summary,
    parse_summary,
    read_listed_tables,
    report_to_json,
)
from fsspec_gp_plugin.backups.gpbackup_files import parse_backup_config
from fsspec_gp_plugin.backups.summarizing import NoNoteError, join_notes, make_note, part_of
from fsspec_gp_plugin.integrity import manifest, oid_list
from fsspec_gp_plugin.integrity.claim import Claim
from fsspec_gp_plugin.integrity.entries import Entry
from fsspec_gp_plugin.integrity.manifest import BadManifest, Budget
from fsspec_gp_plugin.integrity.manifest_packing import PackedSummary, pack
from fsspec_gp_plugin.integrity.summary_notes import read_notes, remove_notes, write_note
from fsspec_gp_plugin.keys import backup_prefix
from fsspec_gp_plugin.storage.contract import ObjectInfo
from tests.cli.whole import CLUSTER, contents, record
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
    assert read.config is not None
    config = one.written[f"gpbackup_{one.timestamp}_config.yaml"]
    assert replace(read.config, tables=None, is_encrypted=False) == parse_backup_config("key", config.split(b"\n"))
    assert bool(said.oids) == (not read.config.single_data_file and not read.config.metadata_only)
    assert read.report["database name"] == "sales"
    assert (read.recipients, read.has_leaf_data) == ((RECIPIENT,), True)


def test_a_summary_names_no_table(tmp_path: Path) -> None:
    """Neither by the command line nor by gpbackup's error."""
    written = {**files(), f"gpbackup_{T}_report": report(T, status="Failure")}
    assert b"public.secret" in written[f"gpbackup_{T}_report"]
    store = FakeStore()
    key = put(store, summarize(written, T, tmp_path))
    text = b"".join(gzip.decompress(store.objects[key]).splitlines(keepends=True))
    assert b"Failure" in text
    for hidden in (b"public", b"secret", b"t16384", b"gpbackup --"):
        assert hidden not in text


def test_lines_of_an_error_that_look_like_later_keys_are_left_out() -> None:
    report = {"backup status": "Failure", "database size": "the table salaries", "segment count": "2 of salaries"}
    assert report_to_json(report) == {"backup status": "Failure"}
    assert report_to_json({"database size": "53 MB", "segment count": "2"}) == {
        "database size": "53 MB",
        "segment count": "2",
    }


def test_a_manifest_with_a_summary_is_read_as_any_other(tmp_path: Path) -> None:
    store = FakeStore()
    key = put(store, summarize(files(), T, tmp_path))
    whole = list(manifest.decode(key, T, [store.objects[key]], Budget()))
    assert whole[1:] == ENTRIES
    store.calls.clear()
    read = found(store)
    assert len(store.calls) == 2, "one request and its piece"
    assert read is not None
    assert read.config is not None
    assert read.config.tables is not None
    assert list(read_listed_tables(store, T, read.config.tables)) == [16384, 16390]
    for damaged in (store.objects[key][:-1], store.objects[key] + b"x"):
        store.objects[key] = damaged
        with pytest.raises(BadManifest):
            list(manifest.decode(key, T, [damaged], Budget()))
        assert found(store) is None


def test_the_latest_summary_under_the_backups_claim_counts() -> None:
    store = FakeStore()
    for number, claim in enumerate(("a" * 32, "b" * 32, "a" * 32, "b" * 32)):
        put(store, PackedSummary(changed("report", **{"database name": f"of {number}"})), claim)
    put(store, None, "a" * 32)
    infos = [info for info in store.find(PREFIX) if info.key.endswith("manifest.gz")]
    key = f"{PREFIX}fsspec_gp_plugin/claim.json"
    store.objects[key] = Claim(T, "a" * 32, CLUSTER, 1).encode()
    read = find_summary(store, T, infos, [store.stat(key)])
    assert read is not None
    assert read.report["database name"] == "of 2"


WRONG = [
    changed("report", **{"command line": "gpbackup --include-table public.t"}),
    changed("report", **{"database name": 5}),
    changed("report", **{"database name": "x" * 20_000}),
    changed("report", **{"database name": "two\nlines"}),
    changed(report=[]),
    changed(report=None),
    changed(recipients="age1abcdefgh"),
    changed(recipients=["age1abc\x1b[2J"]),
    changed(recipients=[RECIPIENT] * 300),
    changed(recipients=[["age1abcdefgh"]]),
    changed(leaf_data="yes"),
    changed(tables=-1),
    changed(tables=1 << 40),
    changed(tables=True),
    changed(config=[]),
    changed(config={}),
    changed("config", segments=0),
    changed("config", segments=1 << 20),
    changed("config", segments=2.0),
    changed("config", suffix="/../x"),
    changed("config", suffix=[]),
    changed("config", metadata_only=1),
    changed("config", status="x" * 20_000),
    changed("config", plan=[T]),
    changed("config", plan={"2026": True}),
    changed("config", plan={T: 1}),
    changed("config", plan={f"{20260000000000 + n}": True for n in range(2000)}),
]


@pytest.mark.parametrize("value", WRONG)
def test_a_wrong_summary_counts_as_none(value: dict[str, Any]) -> None:
    store = FakeStore()
    put(store, PackedSummary(GOOD))
    assert found(store) is not None
    store.objects.clear()
    put(store, PackedSummary(value))
    assert found(store) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda one: st.lists(one) | st.dictionaries(st.sampled_from([*GOOD, *GOOD["config"]]), one),
        max_leaves=10,
    )
)
def test_no_value_breaks_the_parser(value: Any) -> None:
    for made in ({"report": value}, {"config": value}, value if type(value) is dict else {"recipients": value}):
        with suppress(ValueError):
            parse_summary(made, MANIFEST, is_listed=False)


@pytest.mark.parametrize("row", [[1], [1, -1], [-1, 1], ["1", 1], [2_000_000, 1], {}, [1, 2, 3]])
def test_a_wrong_place_of_the_oids_is_refused(row: object) -> None:
    header = {
        "format": manifest.FORMAT,
        "version": 2,
        "timestamp": T,
        "host": "h",
        "created": 1,
        "checksum": "crc32c",
        "objects": 0,
        "members": [],
        "summary": GOOD,
        "oids": row,
    }
    with pytest.raises(BadManifest, match="is not a manifest"):
        manifest.decode_index("key", T, [gzip.compress(json.dumps(header).encode() + b"\n")])


def test_a_file_that_is_not_gpbackups_is_not_noted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("toc")
    for part in ("report", "toc.yaml"):
        with pytest.raises(NoNoteError):
            make_note(str(path), part)
    path.write_text("restoreplan:\n- timestamp: x\n")
    with pytest.raises(NoNoteError):
        make_note(str(path), "config.yaml")


def test_only_gpbackups_own_files_are_noted() -> None:
    prefix = backup_prefix(T)
    for name in (
        f"gpbackup_0_{T}_toc.yaml",
        f"gpbackup_{T}_metadata.sql",
        f"gpbackup_{T}_plugin_config.yaml",
        "report",
    ):
        assert part_of(prefix + name, T) == ""
    assert part_of(f"{prefix}folder/gpbackup_{T}_toc.yaml", T) == ""
    assert part_of(f"{prefix}gpbackup_{T}_toc.yaml", T) == "toc.yaml"


def test_notes_wait_for_the_cleanup_hook(tmp_path: Path) -> None:
    place, other = private.Place("s3://bucket", str(tmp_path)), private.Place("s3://other", str(tmp_path))
    parts = ("report", "toc.yaml")
    assert read_notes(place, T, parts) == {}
    write_note(place, T, "report", b"first")
    write_note(place, T, "report", b"second")
    write_note(other, T, "report", b"of another target")
    assert read_notes(place, T, parts) == {"report": b"second"}
    remove_notes(place, T)
    assert read_notes(place, T, parts) == {}
    assert read_notes(other, T, parts) == {"report": b"of another target"}
    assert join_notes({}, [RECIPIENT]) is None
