"""What is restored is compared with what was backed up: before its first byte, and before its last ones go out."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.checksum import crc32c
from fsspec_gp_plugin.errors import StorageError
from fsspec_gp_plugin.storage.contract import ObjectInfo
from fsspec_gp_plugin.storage.local.store import LocalStore
from fsspec_gp_plugin.transfer.download import Download, DownloadSettings
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import Store

READ = 1 << 16
# So much of an object is held back until its checksum is known to be right.
HELD_BACK = 4096
KEY = "gpbackup_0_20260101120000"


class TellingStore(FakeStore):
    """Tells the checksum of each object together with its size."""

    def stat(self, key: str) -> ObjectInfo:
        return super().stat(key)._replace(crc32c=crc32c(self.objects[key]))


def holding(kind: str, data: bytes, folder: Path) -> Store:
    """A store of that kind with one object."""
    if kind == "file":
        store: Store = LocalStore(str(folder))
        store.put(KEY, memoryview(data))
        return store
    fake = {"fake": FakeStore, "telling": TellingStore}[kind](piece=10_000)
    fake.objects[KEY] = data
    return fake


def restored(
    folder: Path,
    store: Store,
    expected: ObjectInfo | None = None,
    spans: list[tuple[int, int]] | None = None,
    *,
    refusal: str = "",
) -> bytes:
    """What a download wrote, also where it failed with these words."""
    with (folder / "restored").open("wb") as sink:
        download = Download(store, sink.fileno(), DownloadSettings(READ))
        with pytest.raises(StorageError, match=refusal) if refusal else nullcontext():
            _ = download.write_whole(KEY, expected) if spans is None else download.write_ranges(KEY, spans, expected)
    return (folder / "restored").read_bytes()


SIZES = pytest.mark.parametrize(
    "size",
    [0, 1, HELD_BACK - 1, HELD_BACK, HELD_BACK + 1, READ, READ + 1, READ + HELD_BACK, 5 * READ + HELD_BACK - 1],
)


@SIZES
@pytest.mark.parametrize("kind", ["fake", "file"])
def test_the_end_of_damaged_bytes_is_held_back(tmp_path: Path, kind: str, size: int) -> None:
    data = os.urandom(size)
    expected = ObjectInfo(KEY, size, None, crc32c(data) ^ 1)
    out = restored(tmp_path, holding(kind, data, tmp_path), expected, refusal="the bytes were changed on their way")
    assert len(out) == max(0, size - HELD_BACK)
    assert out == data[: len(out)]


@SIZES
@pytest.mark.parametrize("kind", ["fake", "file", "telling"])
def test_what_is_as_it_was_backed_up_goes_out_to_its_last_byte(tmp_path: Path, kind: str, size: int) -> None:
    data = os.urandom(size)
    assert restored(tmp_path, holding(kind, data, tmp_path), ObjectInfo(KEY, size, None, crc32c(data))) == data


def test_the_end_is_held_back_until_the_stores_own_checksum_is_right(tmp_path: Path) -> None:
    """Also where no manifest says anything."""
    data = os.urandom(3 * READ)
    store = FakeStore()
    store.objects[KEY] = data
    store.crcs[KEY] = crc32c(data) ^ 1
    assert restored(tmp_path, store, refusal="the bytes were changed on their way") == data[:-HELD_BACK]


@pytest.mark.parametrize("spans", [None, [(0, 10), (READ, READ + 10)]], ids=["whole", "subset"])
@pytest.mark.parametrize(
    ("kind", "size", "crc", "words"),
    [
        ("telling", 3 * READ, 1, "has the checksum .*, says the store, but .* was backed up"),
        ("telling", 3 * READ + 1, 0, "has 196608 bytes; 196609 were backed up"),
        ("fake", 3 * READ - 1, 0, "has 196608 bytes; 196607 were backed up"),
        ("file", 3 * READ + 1, 0, "has 196608 bytes; 196609 were backed up"),
    ],
    ids=["checksum", "size and checksum", "size", "size of a file"],
)
def test_another_object_is_refused_before_its_first_byte(
    tmp_path: Path, spans: list[tuple[int, int]] | None, kind: str, size: int, crc: int, words: str
) -> None:
    """By its size, and where the store tells it by its checksum."""
    data = os.urandom(3 * READ)
    expected = ObjectInfo(KEY, size, None, crc32c(data) ^ crc)
    assert restored(tmp_path, holding(kind, data, tmp_path), expected, spans, refusal=words) == b""


def test_a_subset_of_the_object_that_was_backed_up_is_written(tmp_path: Path) -> None:
    data = os.urandom(3 * READ)
    expected = ObjectInfo(KEY, len(data), None, crc32c(data))
    assert restored(tmp_path, holding("telling", data, tmp_path), expected, [(5, 10)]) == data[5:10]
