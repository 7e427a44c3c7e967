"""What is particular to blocks on Azure: all writers of a name share them, and no request takes them back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.checksum import crc32c
from fsspec_gp_plugin.errors import StorageError, Unreachable
from fsspec_gp_plugin.storage.open import open_store
from tests.contract.stores import KEY, content, keys
from tests.servers.azurite import options
from tests.servers.faults import Answer, Flip, Request
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.azurite import Azurite

FIRST, SECOND = os.urandom(300_000), os.urandom(200_000)


@pytest.fixture
def url(azure: Azurite, tmp_path: Path) -> str:
    return f"{azure.url}/uploads/{tmp_path.name}"


@pytest.fixture
def store(azure: Azurite, url: str) -> Iterator[Any]:
    opened = open_store(url, azure.options)
    yield opened
    opened.close()


def commits(request: Request) -> bool:
    return "comp=blocklist" in request.path


def test_two_writers_of_one_key_never_mix(store: Any) -> None:
    one, two = store.begin(KEY), store.begin(KEY)
    one.write(1, memoryview(FIRST))
    two.write(1, memoryview(SECOND))
    two.write(2, memoryview(FIRST))
    one.write(2, memoryview(SECOND))
    one.complete(500_000)
    assert content(store) == FIRST + SECOND
    with pytest.raises(StorageError, match="somebody else has written") as caught:
        two.complete(500_000)
    assert not isinstance(caught.value, Unreachable)
    two.abort()
    assert content(store) == FIRST + SECOND


def test_parts_of_a_retry_replace_those_of_the_first_attempt(store: Any) -> None:
    writer = store.begin(KEY)
    writer.write(1, memoryview(FIRST))
    writer.write(1, memoryview(FIRST))
    assert writer.complete(300_000).crc32c == crc32c(FIRST)
    assert content(store) == FIRST


def test_a_lost_answer_to_the_completion_is_settled_by_looking(azure: Azurite, url: str) -> None:
    with Proxy(azure.endpoint) as proxy:
        store: Any = open_store(url, options(proxy.endpoint))
        store.put(KEY, memoryview(b"x" * 300_000))
        writer = store.begin(KEY)
        writer.write(1, memoryview(FIRST))
        # Twice, as the transport itself sends it again on a new connection.
        proxy.faults.append(Answer(commits, status=0, forward=True, times=2))
        with pytest.raises(Unreachable):
            writer.complete(300_000)
        assert writer.complete(300_000).size == 300_000
        assert content(store) == FIRST
        writer.abort()
        assert content(store) == FIRST
        store.close()


def test_abort_removes_what_was_completed_though_nobody_heard_of_it(azure: Azurite, url: str) -> None:
    with Proxy(azure.endpoint) as proxy:
        store: Any = open_store(url, options(proxy.endpoint))
        writer = store.begin(KEY)
        writer.write(1, memoryview(FIRST))
        proxy.faults.append(Answer(commits, status=0, forward=True, times=2))
        with pytest.raises(Unreachable):
            writer.complete(300_000)
        writer.abort()
        assert keys(store, unfinished=True) == []
        store.close()


@pytest.mark.parametrize("way", ["put", "write"])
def test_a_flipped_bit_is_refused(azure: Azurite, url: str, way: str) -> None:
    with Proxy(azure.endpoint) as proxy:
        store: Any = open_store(url, options(proxy.endpoint))
        proxy.faults.append(Flip("up", 100_000))
        action = store.put if way == "put" else store.begin(KEY).write
        with pytest.raises(Unreachable, match="the bytes were changed on their way"):
            action(KEY if way == "put" else 1, memoryview(FIRST))
        assert keys(store) == []
        store.close()


def test_dropping_unfinished_uploads_spares_objects(store: Any, azure: Azurite) -> None:
    store.put("b/empty", memoryview(b""))
    store.put("b/replaced", memoryview(FIRST))
    for key in ("b/left", "b/replaced", "c/other"):
        store.begin(key).write(1, memoryview(SECOND))
    assert store.delete_unfinished("b/") == 1
    assert keys(store, unfinished=True) == ["b/empty", "b/replaced"]
    assert content(store, "b/replaced") == FIRST
    with azure.client() as client:
        names = [blob.name for blob in client.list_blobs(store.path(""), include=["uncommittedblobs"])]
    assert sorted(names) == [store.path(key) for key in ("b/empty", "b/replaced", "c/other")]


def test_the_place_of_a_dropped_upload_is_no_object(store: Any) -> None:
    """As where it could be made and not be deleted."""
    store.begin(KEY).write(1, memoryview(FIRST))
    store.blobs.put_placeholder(store.path(KEY))
    assert keys(store) == []
    assert keys(store, unfinished=True) == [KEY]
    with pytest.raises(StorageError, match="no such object"):
        store.stat(KEY)
    with pytest.raises(StorageError, match="no such object"):
        store.fetch(KEY, memoryview(bytearray(10)))
    store.delete([KEY])
    assert keys(store, unfinished=True) == []


def test_blocks_of_another_program_are_told_as_such(store: Any, azure: Azurite) -> None:
    with azure.client() as client, client.get_blob_client(store.path(KEY)) as blob:
        blob.stage_block("short", b"data")
    with pytest.raises(StorageError, match="another program has left blocks there"):
        store.begin(KEY).write(1, memoryview(FIRST))


def test_listings_are_paged(store: Any) -> None:
    names = [f"many/{number:04}" for number in range(25)]
    for name in names:
        store.put(name, memoryview(b"x"))
    assert [entry.name for entry in store.blobs.list(store.path("many/"), most=7)] == [store.path(n) for n in names]
    store.delete(names)
    assert keys(store, "many/") == []
