"""Journals, manifests and catalogs: what they keep, and what hostile ones can't do."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsspec_gp_plugin import private
from fsspec_gp_plugin.errors import LocalFileError
from fsspec_gp_plugin.integrity import manifest
from fsspec_gp_plugin.integrity.catalog import Catalog
from fsspec_gp_plugin.integrity.entries import Entry, entry_line, is_object_name, parse_entry
from fsspec_gp_plugin.integrity.entry_sorting import sort_entries
from fsspec_gp_plugin.integrity.journal import Journal
from fsspec_gp_plugin.integrity.manifest import BadManifest, Budget, Header
from tests.made_manifests import in_order, pack_entries

if TYPE_CHECKING:
    from pathlib import Path

T = "20260101120000"
URL = "s3://bucket/x"
PLACE = private.Place(URL)
names = st.text(min_size=1, max_size=60).filter(is_object_name)
entries = st.builds(Entry, names, st.integers(0, (1 << 63) - 1), st.integers(0, (1 << 32) - 1))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def journals(home: Path) -> list[Path]:
    return sorted((home / ".fsspec_gp_plugin" / "journal").iterdir())


def noted(*given: Entry) -> None:
    with Journal(PLACE, T) as journal:
        journal.prepare()
        for one in given:
            journal.add(one)


def taken() -> tuple[list[Entry], int]:
    with Journal(PLACE, T) as journal, sort_entries(journal.take()) as found:
        return list(found), journal.damaged


@given(entries)
def test_an_entry_is_read_as_it_was_written(one: Entry) -> None:
    assert parse_entry(entry_line(one)) == one
    assert "\n" not in entry_line(one)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(json_values.map(json.dumps) | st.text(max_size=40) | st.lists(json_values, max_size=4).map(json.dumps))
def test_anything_else_is_no_entry(line: str) -> None:
    try:
        found = parse_entry(line.encode("utf-8", "surrogatepass"))
    except ValueError:
        return
    assert is_object_name(found.name)
    assert isinstance(found.size, int)


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".", "x\0y", "n" * 5000, "\ud800"])
def test_a_name_that_leads_elsewhere_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="not an entry"):
        parse_entry(json.dumps([name, 1, "00000000"]))


@pytest.mark.parametrize(
    "line", [f"{'[' * 100_000}", '["a", true, "00000000"]', '["a", 1, "0000000G"]', '["a", -1, "00000000"]']
)
def test_odd_lines_are_none(line: str) -> None:
    with pytest.raises(ValueError, match="not an entry"):
        parse_entry(line)


def test_the_last_entry_of_a_name_counts_and_names_are_sorted(home: Path) -> None:
    noted(Entry("b", 1, 2), Entry("a", 3, 4), Entry("b", 5, 6))
    assert taken() == ([Entry("a", 3, 4), Entry("b", 5, 6)], 0)
    # What is taken stays until it is discarded, and what comes meanwhile joins it.
    noted(Entry("c", 7, 8))
    assert taken()[0] == [Entry("a", 3, 4), Entry("b", 5, 6), Entry("c", 7, 8)]
    with Journal(PLACE, T) as journal, Journal(PLACE, T) as other:
        journal.take()
        other.remove()  # what another has taken is not its own
        assert len(journals(home)) == 2
        journal.remove()
    assert journals(home) == []
    assert taken() == ([], 0)


@pytest.mark.usefixtures("home")
def test_backups_and_targets_have_journals_of_their_own() -> None:
    noted(Entry("a", 1, 2))
    for url, timestamp in (("s3://bucket/y", T), (URL, "20260101120001")):
        with Journal(private.Place(url), timestamp) as journal:
            assert list(journal.take()) == []
            journal.remove(whole=True)
    assert taken() == ([Entry("a", 1, 2)], 0)


def test_a_torn_record_harms_no_other(home: Path) -> None:
    noted(Entry("a", 1, 2))
    with open(journals(home)[0], "ab") as file:
        file.write(b'\n0badc0de ["torn", 12')
    noted(Entry("b", 3, 4))
    assert taken() == ([Entry("a", 1, 2), Entry("b", 3, 4)], 1)


def test_hundreds_of_processes_write_at_once(home: Path) -> None:
    program = (
        "import sys; from fsspec_gp_plugin.integrity.journal import Journal\n"
        "from fsspec_gp_plugin.integrity.entries import Entry\n"
        "from fsspec_gp_plugin.private import Place\n"
        f"with Journal(Place({URL!r}, {str(home / '.fsspec_gp_plugin')!r}), {T!r}) as journal:\n"
        "    journal.prepare()\n"
        "    for n in range(200): journal.add(Entry(f'{sys.argv[1]}-{n}' * 20, n, n))\n"
    )
    env = {**os.environ, "HOME": str(home)}
    writers = [subprocess.Popen([sys.executable, "-c", program, str(n)], env=env) for n in range(20)]
    assert [writer.wait() for writer in writers] == [0] * 20
    found, damaged = taken()
    assert damaged == 0
    assert {one.name for one in found} == {f"{writer}-{n}" * 20 for writer in range(20) for n in range(200)}


@pytest.mark.usefixtures("home")
def test_a_full_disk_is_told() -> None:
    with Journal(PLACE, T) as journal:
        journal._fd = os.open("/dev/full", os.O_WRONLY)
        with pytest.raises(LocalFileError, match="No space left on device; `checksum: off` does without"):
            journal.add(Entry("a", 1, 2))


def test_a_symlink_of_another_user_is_not_followed(home: Path) -> None:
    noted()
    journal = journals(home)[0]
    journal.unlink()
    journal.symlink_to(home / "victim")
    with pytest.raises(LocalFileError, match="Too many levels of symbolic links"):
        noted(Entry("a", 1, 2))
    assert not (home / "victim").exists()


def test_old_journals_are_swept(home: Path) -> None:
    noted(Entry("a", 1, 2))
    os.utime(journals(home)[0], (0, 0))
    with Journal(PLACE, "20260101120001") as journal:
        journal.prepare()
        journal.sweep()
    assert [path.name[:14] for path in journals(home)] == ["20260101120001"]


def packed(*lines: object) -> bytes:
    return gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode(), mtime=0)


HEADER = {
    "format": "fsspec_gp_plugin manifest", "version": 1, "timestamp": T, "host": "h", "created": 5,
    "checksum": "crc32c", "objects": 1,
}  # fmt: skip


def read(data: bytes, size: int = 1000) -> list[Header | Entry]:
    return list(manifest.decode("key", T, [data[at : at + size] for at in range(0, len(data), size)], Budget()))


@given(st.lists(entries, max_size=30), st.integers(1, 200))
def test_a_manifest_is_read_as_it_was_written(given_entries: list[Entry], size: int) -> None:
    header, *found = read(pack_entries(T, given_entries), size)
    assert isinstance(header, Header)
    assert (header.timestamp, header.objects) == (T, len(given_entries))
    assert found == in_order(given_entries)


@given(st.floats(0, 1, exclude_max=True), st.sampled_from(["cut", "longer", "flipped"]))
def test_a_damaged_manifest_is_an_error_and_never_another_one(where: float, how: str) -> None:
    right = in_order(Entry(f"gpbackup_0_{T}_{n}", n, n) for n in range(50))
    whole = pack_entries(T, right)
    at = int(len(whole) * where)
    flipped = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
    try:
        header, *found = read({"cut": whole[:at], "longer": whole + b"x", "flipped": flipped}[how])
    except BadManifest:
        return
    # Only the gzip header's own fields, such as its time, may change without harm.
    assert isinstance(header, Header)
    assert (how, found) == ("flipped", right)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a manifest|does not end"),
        (b"not gzip", "no gzip file"),
        (packed(), "not a manifest"),
        (packed([]), "not a manifest"),
        (packed({**HEADER, "format": "x"}), "not a manifest"),
        (packed({**HEADER, "version": 3}), "later version"),
        (packed({**HEADER, "checksum": "sha3"}), "later version"),
        (packed({**HEADER, "timestamp": "20260101120001"}), "another backup"),
        (packed({**HEADER, "created": "x"}), "not a manifest"),
        (packed({**HEADER, "created": 1 << 70}), "another backup"),
        (packed({**HEADER, "objects": [1]}), "not a manifest"),
        (packed(HEADER), "has 0 objects, but its header says 1"),
        (packed(HEADER, ["../../etc/passwd", 1, "00000000"]), "line 2 is not an entry"),
        (packed(HEADER, ["x" * 70_000, 1, "00000000"]), "too large"),
        (packed(HEADER, ["a", 1, "00000000"]) * 2, "does not end"),
        (gzip.compress(b"[" * (64 << 20), mtime=0), "too large"),
        (gzip.compress(json.dumps(HEADER).encode() + b"\n" + b"[" * 5000 + b"\n", mtime=0), "line 2 is not an entry"),
    ],
)
def test_a_hostile_manifest_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(BadManifest, match=words):
        read(data)


def test_a_bomb_costs_no_memory() -> None:
    import tracemalloc

    bomb = gzip.compress(json.dumps(HEADER).encode() + b"\n" + b"\n" * (64 << 20))
    tracemalloc.start()
    with pytest.raises(BadManifest):
        read(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_all_manifests_together_have_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack_entries(T, [Entry(f"n{n}", n, n) for n in range(100)])
    monkeypatch.setattr(manifest, "_LARGEST_OF_CALL", 5000)
    budget = Budget()
    list(manifest.decode("key", T, [data], budget))
    budget.spend(3000)
    with pytest.raises(BadManifest, match="too large"):
        list(manifest.decode("key", T, [data], budget))


def test_what_can_not_be_read_back_is_not_written() -> None:
    with pytest.raises(ValueError, match="can't stand in a manifest"):
        entry_line(Entry("n" * 5000, 1, 1))


def test_hosts_whose_long_names_begin_alike_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    names = set()
    for number in range(3):
        node = f"greenplum-production-eu-central-1-sdw0{number}"
        monkeypatch.setattr(os, "uname", lambda node=node: os.uname_result(("Linux", node, "", "", "")))
        names.add(private.host())
    assert len(names) == 3
    assert max(map(len, names)) == 32


@pytest.mark.parametrize("kind", [Journal, Catalog])
def test_a_directory_that_others_may_write_to_is_refused(home: Path, kind: type[Journal] | type[Catalog]) -> None:
    name = "journal" if kind is Journal else "manifests"
    folder = home / ".fsspec_gp_plugin" / name
    folder.mkdir(parents=True)
    folder.chmod(0o770)
    with pytest.raises(LocalFileError, match="must belong to the user and be closed to others"):
        kind(PLACE, T)
