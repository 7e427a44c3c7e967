"""The listing of a backup that a copy is compared with."""

from __future__ import annotations

import sqlite3
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsspec_gp_plugin.errors import LocalFileError
from fsspec_gp_plugin.integrity import listings
from fsspec_gp_plugin.storage.contract import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

# As keys may have bytes that are no UTF-8.
sizes = st.dictionaries(st.sampled_from(["a", "b", "b/c", "\udcff", "ä"]), st.integers(0, 2))


def objects(sizes: dict[str, int]) -> list[ObjectInfo]:
    return [ObjectInfo(key, size) for key, size in sizes.items()]


@given(sizes, sizes)
def test_the_first_that_is_not_listed_in_its_size_is_told(listed: dict[str, int], wanted: dict[str, int]) -> None:
    lacking = [info for info in objects(wanted) if listed.get(info.key) != info.size]
    with listings.store_listing(objects(listed)) as found:
        assert found.find_missing(objects(wanted)) == (lacking[0] if lacking else None)
        assert {info.key: info.size for info in found.objects()} == listed


def test_it_takes_no_memory_for_each_object() -> None:
    def many() -> Iterator[ObjectInfo]:
        return (ObjectInfo(f"backups/20260102/20260102030405/gpbackup_0_20260102030405_{n}", n) for n in range(20_000))

    tracemalloc.start()
    try:
        with listings.store_listing(many()) as found:
            assert found.find_missing(many()) is None
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_host_that_can_not_keep_it_says_so() -> None:
    def full() -> Iterator[ObjectInfo]:
        yield ObjectInfo("a", 1)
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(LocalFileError, match=r"can't keep a listing .*disk is full"), listings.store_listing(full()):
        pass
