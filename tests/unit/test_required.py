"""What must be there of a backup by gpbackup's own files, of backups that real gpbackups have made, and of odd ones."""

from __future__ import annotations

import re
import resource

import pytest

from fsspec_gp_plugin.backups.gpbackup_files import BackupConfig
from fsspec_gp_plugin.backups.missing import DataSearch
from fsspec_gp_plugin.backups.required import BadContentsError, Required, parse_oids, read_required, required_by_config
from fsspec_gp_plugin.errors import AccessDenied, Unreachable
from fsspec_gp_plugin.keys import backup_prefix
from tests.fakes import FakeStore
from tests.recorded import FAILED, NAMES, recorded

T = "20260101000000"
PREFIX = backup_prefix(T)
END = "incrementalmetadata:\n  ao: {}\n"
# As gpbackup's YAML library writes names that look like something else.
ODD_ENTRIES = """\
dataentries:
- schema: public
  name: 'oid: 5'
  oid: 101
  attributestring: (a)
- schema: |-
    "a
    oid: 7
      oid: 8
    - oid: 9
    dataentries:

    "
  name: '- oid: 10'
  oid: 100
  attributestring: (a)
- oid: 102
  name: 'long oid: 11 long
    oid: 11 '
"""


def made(name: str) -> tuple[FakeStore, str, list[str]]:
    """A store with gpbackup's files of one of the backups; its timestamp, and the names of all its objects."""
    one = recorded(name)
    store = FakeStore()
    store.objects = {one.prefix + file: data for file, data in one.written.items()}
    return store, one.timestamp, one.names


def backup(toc: str | bytes, config: str = "segmentcount: 2\n") -> FakeStore:
    store = FakeStore()
    data = toc if isinstance(toc, bytes) else toc.encode()
    store.objects = {f"{PREFIX}gpbackup_{T}_toc.yaml": data, f"{PREFIX}gpbackup_{T}_config.yaml": config.encode()}
    return store


@pytest.mark.parametrize("name", NAMES)
def test_what_must_be_there_is_what_gpbackup_has_stored(name: str) -> None:
    store, timestamp, names = made(name)
    required = read_required(store, timestamp)[1]
    data = [one for one in names if re.match(r"gpbackup_[0-9]{1,5}_", one)]
    assert required.not_checked == ""
    assert sorted(required.names()) == sorted(data)
    assert required.count == len(data)
    files = {*required.files, f"gpbackup_{timestamp}_plugin_config.yaml"}  # which only the next backup reads
    assert files == set(names) - set(data)
    search = DataSearch(required)
    assert [one for one in names if search.take(one)] == data
    assert (search.missing, search.total) == (0, len(data))


def test_of_a_backup_that_failed_nothing_tells() -> None:
    store, timestamp, _ = made(FAILED)
    required = read_required(store, timestamp)[1]
    assert re.fullmatch(r"not checked: .*_toc\.yaml: there is no such object", required.not_checked)
    assert (required.count, list(required.names())) == (0, [])


@pytest.mark.parametrize("name", ["default", "single_data_file", "no_compression"])
def test_what_is_missing_is_named(name: str) -> None:
    store, timestamp, names = made(name)
    required = read_required(store, timestamp)[1]
    gone = [one for one in names if one.startswith("gpbackup_1_")][1]
    search, first, second = DataSearch(required), DataSearch(required, range(1)), DataSearch(required, range(1, 2))
    for one in [*names, *names]:
        if one != gone:
            search.take(one), first.take(one), second.take(one)
    assert (search.missing, list(search.names_missing())) == (1, [gone])
    assert (first.missing, list(first.names_missing())) == (0, [])
    assert (second.missing, second.total, list(second.names_missing())) == (1, required.each, [gone])
    assert DataSearch(required, range(7, 8)).total == 0


@pytest.mark.parametrize(
    "name",
    [
        f"gpbackup_2_{T}_100.gz",
        f"gpbackup_0_{T}_103.gz",
        f"gpbackup_0_{T}_100",
        f"gpbackup_0_{T}_100.zst",
        f"gpbackup_00_{T}_100.gz",
        f"gpbackup_0_{T}_0100.gz",
        f"gpbackup_0_{T}.gz",
        f"gpbackup_0_{T}_toc.yaml",
        f"gpbackup_-1_{T}_100.gz",
        "gpbackup_0_20250101000000_100.gz",
        f"gpbackup_{T}_toc.yaml",
        f"x/gpbackup_0_{T}_100.gz",
    ],
)
def test_another_name_is_not_taken_for_one(name: str) -> None:
    required = Required(T, segments=2, suffix=".gz", oids=parse_oids("k", lines(ODD_ENTRIES + END)))
    assert required.place(name) is None
    assert required.place(f"gpbackup_1_{T}_102.gz") == 5


def lines(text: str) -> list[bytes]:
    return text.encode().split(b"\n")


def test_names_that_look_like_keys_are_none() -> None:
    assert list(parse_oids("k", lines("predataentries:\n- name: 'oid: 1'\n  oid: 3\n" + ODD_ENTRIES + END))) == [
        100,
        101,
        102,
    ]


@pytest.mark.parametrize(
    "toc",
    [
        "",
        "toc",
        ODD_ENTRIES,
        ODD_ENTRIES + "- schema: public\n" + END,
        ODD_ENTRIES + "  oid: 7\n" + END,
        ODD_ENTRIES + "- oid: 4294967296\n" + END,
        ODD_ENTRIES + "- oid: x\n" + END,
        ODD_ENTRIES + "<html>\n" + END,
        ODD_ENTRIES + ODD_ENTRIES + END,
        "dataentries: {}\n" + END,
        END,
        "\0\xff" * 100,
    ],
    ids=[
        "empty", "another text", "cut off", "no oid", "two oids", "too large", "no number", "other lines", "twice",
        "no list", "no entries", "other bytes",
    ],
)  # fmt: skip
def test_of_a_damaged_table_of_contents_nothing_is_guessed(toc: str) -> None:
    with pytest.raises(BadContentsError, match="k is damaged, or not gpbackup's"):
        parse_oids("k", lines(toc))
    required = read_required(backup(toc), T)[1]
    assert required.not_checked == f"not checked: {PREFIX}gpbackup_{T}_toc.yaml is damaged, or not gpbackup's"
    assert (required.count, len(required.files)) == (0, 4)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("compressed: true\nrestoreplan: []\n", "how many segments"),
        ("segmentcount: 0\n", "how many segments"),
        ("segmentcount: 2\ncompressed: true\ncompressiontype: lz4\n", "an unknown compression"),
        ("segmentcount: many\n", "'many' is not a number of segments"),
        ("segmentcount: 2\nsinglefile: x\nsingledatafile: maybe\n", "singledatafile is 'maybe'"),
        ("segmentcount: 2\nrestoreplan:\n- tablefqns: []\n", "its restoreplan is damaged"),
    ],
)
def test_what_can_not_be_told_is_said(config: str, why: str) -> None:
    required = read_required(backup(ODD_ENTRIES + END, config), T)[1]
    assert required.not_checked.startswith("not checked: ")
    assert why in required.not_checked
    assert required.count == 0


def test_nothing_is_guessed_where_the_record_is_gone_or_can_not_be_read() -> None:
    assert "config.yaml: there is no such object" in read_required(FakeStore(), T)[1].not_checked

    def failing(error: type[Exception]) -> FakeStore:
        def refuse(*_: object) -> None:
            raise error("no")

        store = FakeStore(refuse)
        store.objects = backup(ODD_ENTRIES + END).objects
        return store

    assert read_required(failing(AccessDenied), T)[1].not_checked == "not checked: no"
    with pytest.raises(Unreachable):
        read_required(failing(Unreachable), T)


@pytest.mark.parametrize("single", [False, True])
def test_without_a_table_there_are_no_data_objects(single: bool) -> None:
    """As in an incremental backup when nothing has changed: gpbackup writes none for a segment, either."""
    required = required_by_config(
        backup("dataentries: []\n" + END), T, BackupConfig(segments=2, single_data_file=single)
    )
    assert (required.count, required.not_checked, DataSearch(required).total) == (0, "", 0)


def test_a_table_of_contents_is_not_held_in_memory() -> None:
    def entries(first: int, count: int) -> str:
        told = "- schema: public\n  name: {0}\n  oid: {0}\n  attributestring: (" + "column, " * 200 + ")\n"
        return "".join(told.format(first + number) for number in range(count))

    store = backup("dataentries:\n" + entries(1000, 20_000) + END)
    before = peak()
    required = read_required(store, T)[1]
    assert required.count == 40_000
    assert peak() - before < 10 << 20 < len(store.objects[f"{PREFIX}gpbackup_{T}_toc.yaml"])


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_object_identifiers_are_sorted_and_each_once(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Piece by piece, so that a large table of contents takes little memory."""
    monkeypatch.setattr("fsspec_gp_plugin.backups.required._SORTED_AT_ONCE", at_once)
    oids = [7, 5, 5, 4294967295, 1, 7, 0, 5]
    lines = ["dataentries:", *(f"- oid: {oid}" for oid in oids), "incrementalmetadata:"]
    assert list(parse_oids("key", (line.encode() for line in lines))) == sorted(set(oids))
    assert not parse_oids("key", [b"dataentries: []", b"incrementalmetadata:"])
