"""How an upload to Azure ends where answers are lost, late or another's: by asking whose the blob is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import StorageError, Unreachable
from fsspec_gp_plugin.storage.open import open_store
from tests.contract.stores import KEY, content, keys
from tests.servers.azurite import options
from tests.servers.faults import Answer, Request
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.azurite import Azurite

DATA = os.urandom(100_000)
OLDER = os.urandom(100_000)


@pytest.fixture
def proxy(azure: Azurite) -> Iterator[Proxy]:
    with Proxy(azure.endpoint) as running:
        yield running


@pytest.fixture
def store(azure: Azurite, proxy: Proxy, tmp_path: Path) -> Iterator[Any]:
    opened = open_store(f"{azure.url}/completion/{tmp_path.name}", options(proxy.endpoint))
    yield opened
    opened.close()


def commits(request: Request) -> bool:
    return "comp=blocklist" in request.path


def looks(request: Request) -> bool:
    return request.method == "HEAD"


def lost(*, done: bool) -> Answer:
    """No answer to the completion, and none when the transport asks again on a new connection."""
    return Answer(commits, status=0, forward=done, times=2)


def away() -> Answer:
    """Nobody tells what is there."""
    return Answer(looks, status=0, times=None)


def written(store: Any) -> Any:
    writer = store.begin(KEY)
    writer.write(1, memoryview(DATA))
    return writer


def test_an_object_that_is_complete_and_could_not_be_compared_is_told_as_visible(store: Any, proxy: Proxy) -> None:
    writer = written(store)
    proxy.faults.append(away())
    with pytest.raises(Unreachable):
        writer.complete(len(DATA))
    with pytest.raises(StorageError, match="is complete and visible, but could not be compared with what was sent"):
        writer.abort()
    proxy.faults.clear()
    assert writer.complete(len(DATA)).size == len(DATA)
    writer.abort()
    assert content(store) == DATA


@pytest.mark.parametrize("done", [True, False])
def test_an_upload_that_was_being_completed_when_the_store_went_away_is_told_and_taken_back(
    store: Any, proxy: Proxy, done: bool
) -> None:
    writer = written(store)
    proxy.faults += [lost(done=done), away()]
    with pytest.raises(Unreachable):
        writer.complete(len(DATA))
    for _ in range(2):
        with pytest.raises(Unreachable):
            writer.abort()
    proxy.faults.clear()
    assert keys(store) == ([KEY] if done else [])
    writer.abort()
    assert keys(store) == []


def test_an_object_that_becomes_visible_after_the_abort_began_is_removed(store: Any, proxy: Proxy) -> None:
    """The service may still be about to make it visible when nobody waits for its answer any more."""
    writer = written(store)
    missing = {"x-ms-error-code": "BlobNotFound", "x-ms-request-id": "1"}
    proxy.faults += [lost(done=True), Answer(looks, status=404, headers=missing, times=2)]
    with pytest.raises(Unreachable):
        writer.complete(len(DATA))
    writer.abort()
    assert proxy.faults[1].hits == 2
    assert keys(store, unfinished=True) == []


@pytest.mark.parametrize("answer", ["lost", "page", "refused"])
def test_an_older_object_of_that_size_is_not_taken_for_this_upload(store: Any, proxy: Proxy, answer: str) -> None:
    """And what was there before stays."""
    store.put(KEY, memoryview(OLDER))
    writer = written(store)
    proxy.faults.append(
        {
            "lost": lost(done=False),
            "page": Answer(commits, status=201, body="<html>welcome</html>", times=None),
            "refused": Answer(commits, status=400, body="<Error><Code>InvalidBlockList</Code></Error>", times=None),
        }[answer]
    )
    with pytest.raises(StorageError):
        writer.complete(len(DATA))
    assert content(store) == OLDER
    writer.abort()
    assert content(store) == OLDER


def test_a_completion_that_was_not_done_is_done_again(store: Any, proxy: Proxy) -> None:
    store.put(KEY, memoryview(OLDER))
    writer = written(store)
    proxy.faults.append(lost(done=False))
    with pytest.raises(Unreachable):
        writer.complete(len(DATA))
    assert writer.complete(len(DATA)).size == len(DATA)
    assert content(store) == DATA


def test_an_object_that_somebody_else_writes_meanwhile_stays_theirs(
    store: Any, proxy: Proxy, azure: Azurite, tmp_path: Path
) -> None:
    """Between the completion and the look at what it made."""
    another = open_store(f"{azure.url}/completion/{tmp_path.name}", azure.options)

    def comes_first(request: Request) -> bool:
        if looks(request):
            another.put(KEY, memoryview(OLDER))
        return False

    writer = written(store)
    proxy.faults.append(Answer(comes_first))
    with pytest.raises(StorageError, match="somebody else has replaced it meanwhile"):
        writer.complete(len(DATA))
    writer.abort()
    assert content(store) == OLDER
    another.close()
