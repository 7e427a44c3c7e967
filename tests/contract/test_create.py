"""create(), which makes an object only where there is none, however many want to."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import AlreadyExists
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from tests.contract.stores import CREATES, content, in_table, keys
from tests.servers.conditions import without_conditions

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import ObjectInfo, Store
    from tests.servers.minio import Minio

KEY = "backups/20260101/20260101120000/fsspec_gp_plugin/claim.json"
those_that_create = pytest.mark.parametrize("store", in_table(CREATES), indirect=True)


@those_that_create
@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_create_makes_an_object_of_that_size_and_content(store: Store, size: int) -> None:
    data = b"x" * size
    info = store.create(KEY, memoryview(data))
    assert (info.key, info.size) == (KEY, size)
    assert info.version in (None, store.stat(KEY).version)
    assert content(store, KEY) == data
    assert keys(store, unfinished=True) == [KEY]


@those_that_create
def test_the_second_to_create_learns_that_there_is_one(store: Store) -> None:
    store.create(KEY, memoryview(b"first"))
    for data in (b"second", b"first"):
        with pytest.raises(AlreadyExists, match=r"claim\.json: there is an? (file|object) of that"):
            store.create(KEY, memoryview(data))
    assert content(store, KEY) == b"first"
    assert keys(store, unfinished=True) == [KEY]


@those_that_create
def test_what_was_put_is_there_for_create_and_what_was_deleted_is_not(store: Store) -> None:
    store.put(KEY, memoryview(b"first"))
    with pytest.raises(AlreadyExists):
        store.create(KEY, memoryview(b"second"))
    store.delete([KEY])
    store.create(KEY, memoryview(b"third"))
    assert content(store, KEY) == b"third"


@those_that_create
def test_one_of_many_creates_it(store: Store) -> None:
    """All at the same moment, several times: what is no decision of the server shows in a race only."""
    threads, rounds = 8, 5
    barrier = threading.Barrier(threads)

    def create(number: int, key: str) -> ObjectInfo | None:
        barrier.wait()
        try:
            return store.create(key, memoryview(b"%d" % number * (number + 1)))
        except AlreadyExists:
            return None

    with ThreadPoolExecutor(threads) as pool:
        for at in range(rounds):
            key = f"{KEY}.{at}"
            found = list(pool.map(create, range(threads), [key] * threads))
            [winner] = [number for number, info in enumerate(found) if info is not None]
            assert content(store, key) == b"%d" % winner * (winner + 1)
    assert keys(store, unfinished=True) == [f"{KEY}.{at}" for at in range(rounds)]


def test_a_store_that_ignores_the_condition_replaces(minio: Minio, tmp_path: Path) -> None:
    """Whoever asks has to find that out."""
    with without_conditions(minio) as server:
        store = open_store(f"s3://{server.bucket}/create/{tmp_path.name}", server.options, policy=RetryPolicy(5))
        store.create(KEY, memoryview(b"first"))
        store.create(KEY, memoryview(b"second, and longer"))
        assert content(store, KEY) == b"second, and longer"
        store.close()
