"""How an upload to Google ends where answers are lost, late or another's: the session tells, else the object."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import StorageError, Unreachable
from fsspec_gp_plugin.storage.open import open_store
from tests.contract.stores import KEY, content, keys
from tests.servers.faults import Answer, Request
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.gcs import Gcs
    from tests.servers.gcs_sessions import Front

DATA = os.urandom((256 << 10) + 5)
OLDER = os.urandom(len(DATA))

pytestmark = pytest.mark.usefixtures("quiet_environment")


@pytest.fixture
def proxy(front: Front) -> Iterator[Proxy]:
    with Proxy(front.endpoint) as running:
        yield running


@pytest.fixture
def store(proxy: Proxy, gcs: Gcs, tmp_path: Path) -> Iterator[Any]:
    url = f"{gcs.url}/completion/{tmp_path.name}"
    opened: Any = open_store(url, {**gcs.options, "endpoint_url": proxy.endpoint}, timeout=5)
    opened.takes_parts = False  # as it finds out there
    yield opened
    opened.close()


def ends(request: Request) -> bool:
    """The request that makes the object visible, by its end of the bytes."""
    return request.headers.get("content-range", "").endswith(f"/{len(DATA)}")


def lost(*, done: bool) -> Answer:
    """No answer to it, and none when the transport asks again on a new connection."""
    return Answer(ends, status=0, forward=done, times=2)


def written(store: Any) -> Any:
    writer = store.begin(KEY)
    writer.write(1, memoryview(DATA))
    return writer


@pytest.mark.parametrize("done", [True, False])
def test_a_completion_whose_answer_got_lost_is_asked_for_again(store: Any, proxy: Proxy, done: bool) -> None:
    store.put(KEY, memoryview(OLDER))
    writer = written(store)
    proxy.faults.append(lost(done=done))
    with pytest.raises(Unreachable):
        writer.complete(len(DATA))
    assert proxy.faults[0].hits == 2
    assert writer.complete(len(DATA)).size == len(DATA)
    writer.abort()
    assert content(store) == DATA


@pytest.mark.parametrize("forgotten", [False, True])
@pytest.mark.parametrize("done", [True, False])
def test_an_abort_after_a_completion_whose_answer_got_lost_leaves_nothing(
    store: Any, front: Front, proxy: Proxy, done: bool, forgotten: bool
) -> None:
    """Also where the service no longer knows the session that made the object."""
    writer = written(store)
    proxy.faults.append(lost(done=done))
    with pytest.raises(Unreachable):
        writer.complete(len(DATA))
    assert keys(store) == ([KEY] if done else [])
    if forgotten:
        front.sessions.clear()
    writer.abort()
    assert keys(store) == []


@pytest.mark.parametrize("forgotten", [False, True])
def test_an_abort_leaves_an_older_object_of_that_size(store: Any, front: Front, proxy: Proxy, forgotten: bool) -> None:
    store.put(KEY, memoryview(OLDER))
    writer = written(store)
    proxy.faults.append(lost(done=False))
    with pytest.raises(Unreachable):
        writer.complete(len(DATA))
    if forgotten:
        front.sessions.clear()
    writer.abort()
    assert content(store) == OLDER


def test_an_upload_that_was_being_completed_when_the_store_went_away_is_told_and_taken_back(
    store: Any, proxy: Proxy
) -> None:
    writer = written(store)
    proxy.faults.append(lost(done=True))
    with pytest.raises(Unreachable):
        writer.complete(len(DATA))
    proxy.faults[:] = [Answer(status=0, times=None)]
    for _ in range(2):
        with pytest.raises(Unreachable):
            writer.abort()
    proxy.faults.clear()
    assert keys(store) == [KEY]
    writer.abort()
    assert keys(store) == []


def test_an_object_that_may_not_be_looked_for_is_told_as_visible(store: Any, front: Front, proxy: Proxy) -> None:
    writer = written(store)
    denied = Answer(lambda request: request.method == "GET", status=403, body="you may not", times=None)
    proxy.faults += [lost(done=True), denied]
    with pytest.raises(Unreachable):
        writer.complete(len(DATA))
    front.sessions.clear()
    with pytest.raises(StorageError, match="it was being completed, so the whole object may be visible"):
        writer.abort()
    proxy.faults.clear()
    writer.abort()
    assert keys(store) == []


@pytest.mark.parametrize("size", [len(DATA), 12])
def test_an_older_object_is_not_taken_for_an_upload_that_the_store_has_forgotten(
    store: Any, front: Front, size: int
) -> None:
    store.put(KEY, memoryview(OLDER)[:size])
    writer = written(store)
    front.sessions.clear()
    with pytest.raises(StorageError, match="has forgotten the upload"):
        writer.complete(len(DATA))
    writer.abort()
    assert content(store) == OLDER[:size]


def test_a_page_of_some_portal_is_no_success(store: Any, proxy: Proxy) -> None:
    store.put(KEY, memoryview(OLDER))
    writer = written(store)
    proxy.faults.append(Answer(ends, status=200, body="<html>welcome</html>", times=None))
    with pytest.raises(Unreachable, match="the answer is not the store's"):
        writer.complete(len(DATA))
    proxy.faults.clear()
    writer.abort()
    assert content(store) == OLDER
