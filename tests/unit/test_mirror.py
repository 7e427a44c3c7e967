"""Two stores read as one, with scripted faults."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import AccessDenied, NotFound, StorageError, Unreachable
from fsspec_gp_plugin.storage.mirror import MirroredStore
from fsspec_gp_plugin.transfer.download import Download, DownloadSettings
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsspec_gp_plugin.storage.contract import ObjectInfo

MEBIBYTE = 1 << 20
DATA = os.urandom(5 * MEBIBYTE + 17)


def away(method: str, key: str, _: int) -> None:
    raise Unreachable(f"{method} {key}: the store is away")


def refusing(method: str, key: str, _: int) -> None:
    raise AccessDenied(f"{method} {key}: not with these credentials")


def breaking_at(start: int) -> FakeStore:
    """A store that goes away at a byte of an object."""

    def before(method: str, key: str, number: int) -> None:
        if method in ("piece", "read") and number >= start:
            away(method, key, number)

    return holding(FakeStore(before, piece=MEBIBYTE))


def holding(store: FakeStore, data: bytes = DATA) -> FakeStore:
    store.objects["key"] = data
    return store


class Two:
    """A mirrored store, and what it told."""

    def __init__(self, lead: FakeStore, other: FakeStore, patient: FakeStore | None = None) -> None:
        self.notes: list[str] = []
        self.lost = 0
        self.store = MirroredStore(lead, lambda: other, patient or lead, note=self.notes.append, lost=self._lose)

    def _lose(self) -> None:
        self.lost += 1

    def fetched(self) -> bytes:
        read, write = os.pipe()
        with open(read, "rb") as reader:
            os.set_blocking(write, False)
            pieces = bytearray()
            import threading

            thread = threading.Thread(target=lambda: pieces.extend(reader.read()))
            thread.start()
            try:
                Download(self.store, write, DownloadSettings(read_size=MEBIBYTE, concurrency=2)).write_whole("key")
            finally:
                os.close(write)
                thread.join(10)
        return bytes(pieces)


def test_what_the_first_has_is_read_there() -> None:
    other = FakeStore()
    two = Two(holding(FakeStore()), other)
    assert two.fetched() == DATA
    assert (other.calls, two.notes, two.lost) == ([], [], 0)


@pytest.mark.parametrize("lead", [FakeStore(), holding(FakeStore(refusing))], ids=["lacks it", "denies it"])
def test_what_the_first_does_not_give_is_read_at_the_other(lead: FakeStore) -> None:
    two = Two(lead, holding(FakeStore()))
    assert two.fetched() == DATA
    assert len(two.notes) == 1
    assert two.lost == 0


@pytest.mark.parametrize("at", [0, 1, MEBIBYTE, 3 * MEBIBYTE, len(DATA) - 17])
def test_a_stream_goes_on_at_the_other_store_where_it_broke(at: int) -> None:
    two = Two(breaking_at(at), holding(FakeStore()))
    assert two.fetched() == DATA
    assert two.lost == 1


def test_another_object_of_that_name_is_not_gone_on_with() -> None:
    two = Two(breaking_at(MEBIBYTE), holding(FakeStore(), DATA + b"more"))
    with pytest.raises(StorageError):
        two.fetched()


def test_where_the_other_lacks_it_the_first_is_waited_for() -> None:
    two = Two(holding(FakeStore(away)), FakeStore(), patient=holding(FakeStore()))
    assert two.fetched() == DATA
    two = Two(breaking_at(MEBIBYTE), FakeStore(), patient=holding(FakeStore()))
    assert two.fetched() == DATA


@pytest.mark.parametrize(
    ("lead", "other", "kind"),
    [
        (FakeStore(), FakeStore(), NotFound),
        (FakeStore(), FakeStore(away), Unreachable),
        (FakeStore(away), FakeStore(away), Unreachable),
    ],
)
def test_when_both_fail_both_are_told(lead: FakeStore, other: FakeStore, kind: type[StorageError]) -> None:
    with pytest.raises(kind, match="and at the other target"):
        Two(lead, other).fetched()


def test_a_listing_is_the_others_where_the_first_has_nothing_there() -> None:
    first, other = FakeStore(), holding(FakeStore())
    two = Two(first, other)
    assert [info.key for info in two.store.find("")] == ["key"]
    first.objects["another"] = b"x"
    assert [info.key for info in two.store.find("")] == ["another"]
    assert sorted(info.key for info in two.store.find_anywhere("")) == ["another", "key"]
    assert list(Two(FakeStore(), FakeStore()).store.find("")) == []


def test_a_lead_that_is_away_is_not_asked_again_for_each_range() -> None:
    lead = breaking_at(MEBIBYTE)
    two = Two(lead, holding(FakeStore()))
    assert two.fetched() == DATA
    assert two.lost == 1
    asked = len(lead.calls)
    assert two.fetched() == DATA
    assert len(lead.calls) == asked


def test_what_one_lacks_and_the_other_can_not_tell_is_not_taken_for_missing() -> None:
    with pytest.raises(Unreachable):
        list(Two(FakeStore(), ListingAway()).store.find(""))


class ListingAway(FakeStore):
    """A store whose listing can't be had."""

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        del prefix, unfinished
        raise Unreachable("the store is away")
