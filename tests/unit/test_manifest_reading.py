"""Manifests are read by content id: of each only the ranges that are wanted."""

from __future__ import annotations

import gzip
import hashlib
import json

import pytest

from fsspec_gp_plugin.backups.manifest_reading import (
    OpenedManifest,
    know_contents,
    read_manifests,
    select_by_contents,
)
from fsspec_gp_plugin.errors import AccessDenied
from fsspec_gp_plugin.integrity.contents import content_of
from fsspec_gp_plugin.integrity.entries import Entry
from fsspec_gp_plugin.integrity.manifest import BadManifest, Budget, Header
from tests.fakes import FakeStore
from tests.made_manifests import in_order, pack_version_1, put_manifest, put_version_1
from tests.unit.site import PREFIX, T


def entries_of(*contents: int, each: int = 20) -> list[Entry]:
    """Entries whose checksums don't pack well."""

    def entry(content: int, number: int) -> Entry:
        name = f"gpbackup_{T}_file{number}" if content < 0 else f"gpbackup_{content}_{T}_{number}"
        return Entry(name, number, int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))

    return in_order(entry(content, number) for content in contents for number in range(each))


def put_large(store: FakeStore) -> tuple[str, list[Entry]]:
    """A manifest of nine content ids whose members are larger than the first request."""
    entries = entries_of(-1, *range(8), each=8000)
    return put_manifest(store, PREFIX, entries), entries


def read(store: FakeStore, keys: list[str], contents: set[int] | None = None) -> list[Entry]:
    store.calls.clear()
    found = read_manifests(store, T, [store.stat(key) for key in keys], contents)
    return [one for _, lines in found for one in lines if not isinstance(one, Header)]


def requests(store: FakeStore) -> list[tuple[str, int]]:
    return [(method, start) for method, _, start in store.calls if method in ("fetch", "read")]


@pytest.mark.parametrize("contents", [{3}, {3, 4}, {-1}, {7}, {0, 7}, {99}, None])
def test_only_what_is_wanted_is_read_by_two_requests(contents: set[int] | None) -> None:
    store = FakeStore()
    key, entries = put_large(store)
    assert len(store.objects[key]) > 9 * (64 << 10)
    assert read(store, [key], contents) == [
        one for one in entries if contents is None or content_of(one.name) in contents
    ]
    assert len(requests(store)) <= 2
    bytes_read = sum(start for method, start in requests(store) if method == "fetch")
    assert bytes_read == 0
    pieces = [start for method, _, start in store.calls if method == "piece"]
    if contents == {3}:
        # Nothing of the members before it but what came with the index.
        assert all(start < 1 << 16 or start > len(store.objects[key]) * 3 / 9 for start in pieces)


def test_a_small_manifest_is_one_request() -> None:
    store = FakeStore()
    key = put_manifest(store, PREFIX, entries_of(-1, 0, 1))
    assert read(store, [key], {1}) == entries_of(1)
    assert requests(store) == [("fetch", 0)]


def test_a_large_member_is_not_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec_gp_plugin.backups.manifest_reading._KEPT", 1000)
    monkeypatch.setattr("fsspec_gp_plugin.backups.manifest_reading._PIECE", 50_000)
    store = FakeStore()
    key, entries = put_large(store)
    opened = OpenedManifest(store, store.stat(key), T, {3})
    assert requests(store) == [("fetch", 0)]
    assert list(opened.lines(Budget()))[1:] == [one for one in entries if content_of(one.name) == 3]


def test_an_index_that_is_larger_than_the_first_request_is_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec_gp_plugin.backups.manifest_reading._FIRST", 50)
    store = FakeStore()
    key = put_manifest(store, PREFIX, entries_of(-1, 0, 1))
    assert read(store, [key], {0}) == entries_of(0)


def test_only_manifests_that_may_list_a_content_are_selected() -> None:
    store = FakeStore()
    first = put_manifest(store, PREFIX, entries_of(-1, 0, 1))
    second = put_manifest(store, PREFIX, entries_of(2, 3))
    scattered = put_manifest(store, PREFIX, entries_of(*range(0, 400, 2), each=1))
    infos = [store.stat(key) for key in (first, second, scattered)]
    assert know_contents(infos, T)
    assert [info.key for info in select_by_contents(infos, T, {2})] == [second, scattered]
    old = put_version_1(store, PREFIX, entries_of(2))
    assert not know_contents([*infos, store.stat(old)], T)
    assert [info.key for info in select_by_contents([store.stat(old)], T, {9})] == [old]


def test_a_manifest_of_version_1_gives_all_its_entries() -> None:
    store = FakeStore()
    entries = entries_of(-1, 0, 1)
    key = put_version_1(store, PREFIX, entries)
    assert read(store, [key], {0}) == sorted(entries)
    header = OpenedManifest(store, store.stat(key), T).header
    assert (header.objects, header.members) == (len(entries), None)


def test_several_manifests_are_read_at_once_and_a_failure_ends_it() -> None:
    store = FakeStore()
    keys = [put_manifest(store, PREFIX, entries_of(content)) for content in range(20)]
    assert sorted(read(store, keys)) == sorted(entries_of(*range(20)))

    def refuse(method: str, key: str, _: int) -> None:
        if method == "fetch" and key == keys[7]:
            raise AccessDenied("not for you")

    store._before = refuse
    with pytest.raises(AccessDenied):
        read(store, keys)


def change_index(data: bytes, change: dict[str, object]) -> bytes:
    """The manifest with other values in its index."""
    rest = data[data.index(b"\x1f\x8b\x08", 1) :]
    return (
        gzip.compress(json.dumps({**json.loads(gzip.decompress(data[: -len(rest)])), **change}).encode() + b"\n") + rest
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"members": [[0, 1, 20, 190]]}, "its members don't end where it does"),
        ({"members": "x"}, "is not a manifest"),
        ({"members": [[0, -1, 20, 190]]}, "is not a manifest"),
        ({"members": [[0, 1, 2]]}, "is not a manifest"),
        ({"objects": 21}, "is not a manifest"),
        ({"objects": 21, "members": [[0, None, 21, 190]]}, "has 20 objects, but its header says 21"),
        ({"members": [[1, None, 20, 190]]}, "is not an object of content id 1"),
        ({"members": [[0, None, 20, 191]]}, "content id 0 is not what its index says"),
    ],
)
def test_an_index_that_lies_is_found(change: dict[str, object], words: str) -> None:
    store = FakeStore()
    key = put_manifest(store, PREFIX, entries_of(0))
    data = store.objects[key]
    packed = len(data) - data.index(b"\x1f\x8b\x08", 1)
    rows = change.get("members")
    if isinstance(rows, list):
        change = {**change, "members": [[packed if cell is None else cell for cell in row] for row in rows]}
    store.objects[key] = change_index(data, change)
    with pytest.raises(BadManifest, match=words):
        read(store, [key])


def test_version_1_is_as_the_first_release_wrote_it() -> None:
    [header, *lines] = [json.loads(line) for line in gzip.decompress(pack_version_1(T, entries_of(0))).splitlines()]
    assert (header["version"], len(lines)) == (1, 20)
