"""Shards of `verify`: together they do everything once, and each reads and lists only its share."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin import private
from fsspec_gp_plugin.backups import shares
from fsspec_gp_plugin.backups.inspection import Inspector
from fsspec_gp_plugin.backups.survey import survey
from fsspec_gp_plugin.checksum import crc32c
from fsspec_gp_plugin.errors import AccessDenied, StorageError
from fsspec_gp_plugin.integrity.contents import content_of
from fsspec_gp_plugin.integrity.entries import Entry
from fsspec_gp_plugin.integrity.object_names import FOLDER, parse_manifest_name
from fsspec_gp_plugin.keys import backup_prefix
from fsspec_gp_plugin.storage.contract import Capabilities, ObjectInfo
from tests.cli.whole import contents, record
from tests.fakes import FakeStore
from tests.made_backups import OIDS, entries_of, put_hosts, table
from tests.made_manifests import put_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fsspec_gp_plugin.backups.findings import Inspection

T, BASE = "20260102030405", "20260101030405"
PREFIX = backup_prefix(T)
HOSTS = ([0, 1], [*range(2, 10)], [10])
# Fewer than content ids, as many, and more.
PARTS = (2, 5, 12, 13, 30)


@pytest.fixture
def place(tmp_path: Path) -> private.Place:
    return private.Place("s3://bucket", str(tmp_path / "state"))


@pytest.fixture(params=["by prefix", "as a whole", "by scans"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    """The ways to list: by prefix, as large backups; as a whole, as small ones; in a directory of files."""
    made = FakeStore()
    if request.param != "as a whole":
        list_by_prefix(monkeypatch)
    if request.param == "by scans":
        made.capabilities = Capabilities(parallel_parts=True, parallel_reads=True, lists_by_prefix=False)
        monkeypatch.setattr(shares, "_MOST_SCANS", 1)
    return made


def list_by_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat a small backup as a large one."""
    monkeypatch.setattr(shares, "_PAGE", 1)
    monkeypatch.setattr(shares, "_FEW_PAGES", 0)
    monkeypatch.setattr(shares, "_MOST_IN_PIECE", 6)


class Verified:
    """What all shards together have found and read."""

    def __init__(self, place: private.Place, store: FakeStore, parts: int, *, quick: bool = False) -> None:
        self.read: list[str] = []
        self.found: list[Inspection] = []
        self._store = store
        for part in range(parts):
            [backup] = survey(store, T)
            read = None if quick else self._read
            self.found.append(Inspector(place, store, ()).inspect(backup, (part, parts), read))
        self.problems = [one for found in self.found for one in found.problems]
        self.reasons = [one for found in self.found for one in found.reasons]

    def _read(self, objects: Iterator[Entry]) -> Iterator[tuple[Entry, StorageError | None]]:
        for one in objects:
            self.read.append(one.name)
            is_right = crc32c(self._store.objects[PREFIX + one.name]) == one.crc32c
            yield one, None if is_right else StorageError(f"{one.name} has other bytes")

    def sum(self, what: str) -> int:
        return sum(getattr(one, what) for one in self.found)


@pytest.mark.parametrize("parts", PARTS)
def test_together_they_read_every_object_once(place: private.Place, store: FakeStore, parts: int) -> None:
    names = put_hosts(store, T, HOSTS)
    found = Verified(place, store, parts)
    assert sorted(found.read) == sorted(names)
    assert (found.problems, found.reasons, found.sum("right")) == ([], [], len(names))
    quick = Verified(place, store, parts, quick=True)
    assert (quick.problems, quick.reasons, quick.sum("right")) == ([], [], len(names))


@pytest.mark.parametrize("parts", PARTS)
def test_each_fault_is_found_by_one_of_them(place: private.Place, store: FakeStore, parts: int) -> None:
    names = put_hosts(store, T, HOSTS)
    others = ("notes/of the coordinator", "gpbackup_2_other", "lost")
    store.objects |= {PREFIX + name: b"text" for name in others}
    put_manifest(store, PREFIX, entries_of(store, T, others), mark="f" * 12)
    gone, resized, changed = table(T, 0, OIDS[0]), table(T, 10, OIDS[1]), table(T, 2, OIDS[2])
    del store.objects[PREFIX + gone], store.objects[f"{PREFIX}lost"]
    store.objects[PREFIX + resized] = b"short"
    store.objects[PREFIX + changed] = bytes(len(store.objects[PREFIX + changed]))
    unnamed = "gpbackup_1_" + T + "_999.gz"
    store.objects[PREFIX + unnamed] = b"of nobody"
    whole = Verified(place, store, 1)
    assert (whole.sum("missing"), whole.sum("resized"), whole.sum("not_checked")) == (2, 1, 1)
    found = Verified(place, store, parts)
    assert sorted(found.read) == sorted({*names, *others} - {gone, resized, "lost"}) == sorted(whole.read)
    for what in ("right", "size", "missing", "resized", "not_checked"):
        assert found.sum(what) == whole.sum(what)
    for name in (gone, resized, changed):
        assert len([one for one in found.problems if name in one]) == 1, name
    assert [unnamed in one for one in found.reasons] == [True]
    quick = Verified(place, store, parts, quick=True)
    assert (quick.sum("missing"), quick.sum("resized"), quick.sum("not_checked")) == (2, 1, 1)


@pytest.mark.parametrize("parts", PARTS)
def test_what_a_host_without_manifest_lacks_is_missed_once(place: private.Place, store: FakeStore, parts: int) -> None:
    """Nobody but gpbackup's own files says that its content id was there."""
    put_hosts(store, T, HOSTS)
    [key] = [
        key for key in store.objects if (name := parse_manifest_name(key[len(PREFIX) :])) and name.contents == (10,)
    ]
    del store.objects[key]
    store.objects[f"{PREFIX}{FOLDER}marks/sdw2.{'2' * 12}.mark"] = b"{}"
    gone = table(T, 10, OIDS[0])
    del store.objects[PREFIX + gone]
    found = Verified(place, store, parts)
    assert found.sum("missing") == 1
    assert [gone in one for one in found.problems] == [True]
    assert found.sum("not_checked") == len(OIDS) - 1
    assert len([one for one in found.reasons if "sdw2 left its mark and no manifest" in one]) == 1


@pytest.mark.parametrize("parts", PARTS)
def test_data_that_an_incremental_backup_needs_is_missed_once(
    place: private.Place, store: FakeStore, parts: int
) -> None:
    put_hosts(store, BASE, HOSTS)
    put_hosts(store, T, HOSTS, [BASE])
    gone = [table(BASE, 2, OIDS[0]), f"gpbackup_{BASE}_metadata.sql"]
    for name in gone:
        del store.objects[backup_prefix(BASE) + name]
    found = Verified(place, store, parts, quick=True)
    assert all(one.startswith(f"it needs the backup {BASE}, of which") for one in found.problems)
    assert sum(int(one.split("of which ")[1].split(" ")[0]) for one in found.problems) == 2
    assert [one.needs for one in found.found] == [[BASE], *[[]] * (parts - 1)]
    # A base that did not finish is one fault.
    del store.objects[f"{backup_prefix(BASE)}gpbackup_{BASE}_report"]
    found = Verified(place, store, parts, quick=True)
    assert len([one for one in found.problems if "which gpbackup did not finish" in one]) == 1


def test_objects_of_no_content_id_are_found_in_a_small_backup_by_shard_0(place: private.Place) -> None:
    store = FakeStore()
    names = put_hosts(store, T, HOSTS)
    for name in (f"gpbackup_77_{T}_1.gz", "stray"):
        store.objects[PREFIX + name] = b"of nobody"
    found = Verified(place, store, 3)
    assert [one.not_checked for one in found.found] == [2, 0, 0]
    assert sorted(found.read) == sorted(names)


def test_a_backup_without_objects_has_nothing_to_verify(place: private.Place) -> None:
    store = FakeStore()
    store.objects[f"{PREFIX}gpbackup_{T}_report"] = b"backup status: Success\n"
    put_manifest(store, PREFIX, [])
    found = Verified(place, store, 3)
    assert (found.read, [one.result for one in found.found]) == ([], ["unchecked"] * 3)


class RuledStore(FakeStore):
    """Has 20,000 objects of each content id by rule, which it lists in pages of 1,000. Counts pages and bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: Counter[str] = Counter()
        self.bytes_read = 0

    def rule(self, content: int) -> list[Entry]:
        return [Entry(table(T, content, 100_000 + number), 7, number) for number in range(20_000)]

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        found = list(super().find(prefix, unfinished=unfinished))
        content = content_of(prefix[len(PREFIX) :])
        found += [ObjectInfo(PREFIX + one.name, one.size) for one in (self.rule(content) if content >= 0 else ())]
        for at in range(0, max(1, len(found)), 1000):
            self.pages[prefix] += 1
            yield from found[at : at + 1000]

    def _pieces(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        for count in super()._pieces(info, start, into):
            self.bytes_read += count
            yield count


def large_cluster() -> tuple[RuledStore, str]:
    """A backup of a thousand hosts with 8 segments of 20,000 tables. Only the manifest of host 500, whose key is
    returned, can be read.
    """
    store = RuledStore()
    files = {
        "config.yaml": record(T, [], 8000),
        "toc.yaml": contents(range(100_000, 120_000)),
        "report": "backup status: Success\nsegment count: 8000\n",
        "metadata.sql": "",
    }
    store.objects = {f"{PREFIX}gpbackup_{T}_{end}": text.encode() for end, text in files.items()}
    names = (f"sdw{n}.{n:012x}-000000.c{8 * n}-{8 * n + 7}.160000o.1120000b" for n in range(1000) if n != 500)
    store.objects |= {f"{PREFIX}{FOLDER}{name}.manifest.gz": b"" for name in names}
    coordinators = f"{PREFIX}{FOLDER}mdw.{'f' * 12}-000000.c-1.4o.1000b.manifest.gz"
    store.objects[coordinators] = b""
    return store, put_manifest(store, PREFIX, [one for content in range(4000, 4008) for one in store.rule(content)])


def test_what_a_shard_costs_does_not_depend_on_the_number_of_hosts(place: private.Place) -> None:
    store, mine = large_cluster()
    [backup] = survey(store, T)
    found = Inspector(place, store, ()).inspect(backup, (4001, 8000))
    assert (found.result, found.right) == ("ok", 20_000)
    assert store.pages.pop(f"{PREFIX}gpbackup_4000_{T}") == 20
    # The plugin's folder and the coordinator's files.
    assert store.pages == {f"{PREFIX}{FOLDER}": 2, f"{PREFIX}gpbackup_{T}_": 1}
    requests = [key for method, key, _ in store.calls if method in ("read", "fetch")]
    assert requests.count(mine) <= 2
    files = [f"{PREFIX}gpbackup_{T}_{end}" for end in ("config.yaml", "toc.yaml", "report")]
    assert set(requests) == {mine, *files}
    # The first request of the manifest gets 64 KiB, the second one content id.
    read = sum(len(store.objects[key]) for key in files) + (64 << 10) + len(store.objects[mine]) / 7
    assert store.bytes_read < read


def test_a_shard_that_can_not_find_its_share_says_so(place: private.Place, store: FakeStore) -> None:
    """The others may divide the backup in another way, so that nobody reads some objects."""
    put_hosts(store, T, HOSTS)
    [backup] = survey(store, T)

    def refuse(method: str, key: str, _: int) -> None:
        if method == "fetch" and key.endswith("_config.yaml"):
            raise AccessDenied("denied")

    store._before = refuse
    found = Inspector(place, store, ()).inspect(backup, (2, 12), lambda objects: ((one, None) for one in objects))
    assert found.result == "unchecked"
    assert found.reasons == ["it is unknown which objects are this part's: denied"]
