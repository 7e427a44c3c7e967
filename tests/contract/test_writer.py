"""The promises of storage.api.PartWriter, held against every provider: an object becomes visible whole, or never."""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.checksum import crc32c
from fsspec_gp_plugin.errors import NotFound, StorageError
from fsspec_gp_plugin.storage.link import Attempt
from tests.contract.stores import (
    COUNTS_SENT,
    KEY,
    PARALLEL,
    SHOWS_UPLOADS,
    TELLS_BEGIN,
    TELLS_CRC,
    content,
    in_table,
    keys,
    kind_of,
    not_in_table,
)

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import Store


def test_parts_become_one_object_only_by_complete(store: Store) -> None:
    first, second = os.urandom(5 << 20), os.urandom(1000)
    writer = store.begin(KEY)
    writer.write(1, memoryview(first))
    writer.write(2, memoryview(second))
    assert keys(store) == []
    with pytest.raises(NotFound):
        store.stat(KEY)
    assert writer.complete(len(first) + len(second)).size == len(first) + len(second)
    assert content(store) == first + second
    assert keys(store, unfinished=True) == [KEY]


def test_no_parts_make_an_empty_object(store: Store) -> None:
    store.begin(KEY).complete(0)
    assert store.stat(KEY).size == 0


@pytest.mark.parametrize("store", in_table(PARALLEL), indirect=True)
def test_parts_may_be_written_at_once_and_in_any_order(store: Store) -> None:
    parts = {number: os.urandom(5 << 20) for number in (3, 1, 2)}
    writer = store.begin(KEY)
    threads = [threading.Thread(target=writer.write, args=(number, memoryview(data))) for number, data in parts.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.complete(15 << 20)
    assert content(store) == b"".join(data for _, data in sorted(parts.items()))


@pytest.mark.parametrize("store", not_in_table(PARALLEL), indirect=True)
def test_a_part_that_comes_too_early_is_refused_where_they_come_in_order(store: Store) -> None:
    writer = store.begin(KEY)
    writer.write(1, memoryview(b"one"))
    with pytest.raises(StorageError):
        writer.write(3, memoryview(b"three"))
    writer.abort()
    assert keys(store, unfinished=True) == []


def test_a_writer_may_reuse_the_data_after_write(store: Store) -> None:
    buffer = bytearray(b"a" * (5 << 20))
    writer = store.begin(KEY)
    writer.write(1, memoryview(buffer))
    buffer[:] = b"b" * len(buffer)
    writer.write(2, memoryview(buffer))
    buffer[:] = b"c" * len(buffer)
    writer.complete(10 << 20)
    assert content(store) == b"a" * (5 << 20) + b"b" * (5 << 20)


@pytest.mark.parametrize("store", in_table(COUNTS_SENT), indirect=True)
def test_what_a_part_sends_is_counted_for_its_attempt(store: Store) -> None:
    """By that a connection that breaks at work is told from a store that is away."""
    writer = store.begin(KEY)
    attempt = Attempt()
    writer.write(1, memoryview(bytes(5 << 20)))
    assert attempt.sent == 5 << 20
    writer.abort()


def test_abort_leaves_nothing_and_may_be_repeated(store: Store, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    writer = store.begin(KEY)
    writer.write(1, memoryview(os.urandom(5 << 20)))
    writer.abort()
    writer.abort()
    assert keys(store, unfinished=True) == []
    with pytest.raises(StorageError):
        writer.write(2, memoryview(b"too late"))
    with pytest.raises(StorageError):
        writer.complete(5 << 20)
    assert keys(store, unfinished=True) == []
    kind = kind_of(request)
    # Azure drops the blocks by itself, after a week; no request does.
    assert [upload.key for upload in store.find_uploads("")] == ([KEY] if kind == "azure" else [])
    if kind == "s3":
        left = request.getfixturevalue("minio").unfinished_uploads()
        assert [key for key in left if f"/{tmp_path.name}/" in key] == []


def test_abort_before_anything_was_written_is_quiet(store: Store) -> None:
    store.begin(KEY).abort()
    assert keys(store, unfinished=True) == []


def test_abort_keeps_the_object_that_was_there_before(store: Store) -> None:
    store.put(KEY, memoryview(b"the good one"))
    writer = store.begin(KEY)
    writer.write(1, memoryview(b"never"))
    writer.abort()
    assert content(store) == b"the good one"


def test_abort_after_complete_does_nothing(store: Store) -> None:
    writer = store.begin(KEY)
    writer.write(1, memoryview(b"data"))
    writer.complete(4)
    writer.abort()
    assert content(store) == b"data"


def test_a_size_that_differs_is_an_error_and_no_object(store: Store) -> None:
    writer = store.begin(KEY)
    writer.write(1, memoryview(b"data"))
    with pytest.raises(StorageError):
        writer.complete(5)
    writer.abort()
    assert keys(store, unfinished=True) == []


def test_a_writer_that_is_dropped_makes_nothing_visible(store: Store) -> None:
    writer = store.begin(KEY)
    writer.write(1, memoryview(b"data"))
    del writer
    assert keys(store) == []


def test_the_checksum_that_a_store_keeps_is_that_of_the_bytes(store: Store, request: pytest.FixtureRequest) -> None:
    first, second = os.urandom(5 << 20), os.urandom(1000)
    kind = kind_of(request)
    writer = store.begin(KEY)
    parts = [(1, first), (2, second)]
    for number, data in reversed(parts) if kind in PARALLEL else parts:
        writer.write(number, memoryview(data))
    written = writer.complete(len(first) + len(second))
    whole, short = (crc32c(first + second), crc32c(second)) if kind in TELLS_CRC else (None, None)
    assert [written.crc32c, store.stat(KEY).crc32c, store.crc32c(store.stat(KEY))] == [whole] * 3
    store.put(KEY, memoryview(second))
    assert store.crc32c(store.stat(KEY)) == short


def test_uploads_that_nobody_ended_are_found_and_taken_back(store: Store, request: pytest.FixtureRequest) -> None:
    one, two = "backups/20260101/1/a", "backups/20260101/12/b"
    begun = time.time()
    for name in (one, two):
        store.begin(name).write(1, memoryview(b"data"))
    gc.collect()  # on SMB the name of an open file stays until its connection has ended
    kind = kind_of(request)
    listed = store.find_uploads("")
    # All others have working files, which find() lists, or keep nothing that anybody could see.
    assert sorted(upload.key for upload in listed) == ([one, two] if kind in SHOWS_UPLOADS else [])
    for upload in listed:
        assert (upload.started is not None) == (kind in TELLS_BEGIN)
        assert upload.started is None or begun - 1 <= upload.started <= time.time() + 1
        written = store.last_written(upload)
        assert (written is not None) == (kind in TELLS_BEGIN)
        assert written is None or (upload.started or 0) <= written <= time.time() + 1
    below = store.find_uploads("backups/20260101/1/")
    assert below == [upload for upload in listed if upload.key == one]
    assert store.delete_unfinished("backups/20260101/1/") == len(below)
    assert [upload.key for upload in store.find_uploads("")] == ([two] if kind in SHOWS_UPLOADS else [])
    assert store.delete_unfinished("") == len(listed) - len(below)
    assert store.find_uploads("") == []
    assert store.delete_unfinished("") == 0
    store.delete(keys(store, unfinished=True))
    assert keys(store, unfinished=True) == []
