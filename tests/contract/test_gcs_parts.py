"""Uploads to Google in parts: whether they are taken, and how they end where answers are lost, late or another's."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import AccessDenied, StorageError, Unreachable
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from tests.contract.stores import KEY, content, keys
from tests.servers.faults import Answer, Flip, Request
from tests.servers.ports import closed_port
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.gcs import Gcs
    from tests.servers.gcs_parts import Front

PARTS = [os.urandom(5 << 20), os.urandom(1000)]
DATA = b"".join(PARTS)
OLDER = os.urandom(len(DATA))

pytestmark = pytest.mark.usefixtures("quiet_environment")


@pytest.fixture
def front(parts_front: Front) -> Front:
    return parts_front


@pytest.fixture
def proxy(front: Front) -> Iterator[Proxy]:
    with Proxy(front.endpoint) as running:
        yield running


@pytest.fixture
def target(proxy: Proxy, gcs: Gcs, tmp_path: Path) -> Gcs:
    return replace(gcs, endpoint=proxy.endpoint, url=f"{gcs.url}/parts/{tmp_path.name}")


@pytest.fixture
def store(target: Gcs) -> Iterator[Any]:
    opened = open_store(target.url, target.options, timeout=5)
    yield opened
    opened.close()


def written(store: Any) -> Any:
    writer = store.begin(KEY)
    for number, part in enumerate(PARTS, 1):
        writer.write(number, memoryview(part))
    return writer


def completes(request: Request) -> bool:
    return request.method == "POST" and "uploadId=" in request.path


def begins(request: Request) -> bool:
    return request.method == "POST" and request.path.endswith("?uploads")


def lost(of: Any, *, done: bool, times: int = 1) -> Answer:
    """No answer to it."""
    return Answer(of, status=0, forward=done, times=times)


def test_parts_arrive_in_any_order_and_each_with_its_checksum(store: Any, front: Front, proxy: Proxy) -> None:
    assert store.capabilities.first_part_shows
    writer = store.begin(KEY)
    writer.write(2, memoryview(PARTS[1]))
    assert (store.capabilities.parallel_parts, store.capabilities.first_part_shows) == (True, False)
    writer.write(1, memoryview(PARTS[0]))
    assert writer.complete(len(DATA)) == store.stat(KEY)
    assert content(store) == DATA
    assert (front.uploads, front.created) == ({}, 1)
    sent = [request.headers for request in proxy.requests if request.method == "PUT"]
    assert [headers["x-goog-hash"].partition("=")[0] for headers in sent] == ["crc32c", "crc32c"]


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
def test_where_parts_are_refused_one_session_takes_them_and_it_is_told_once(
    target: Gcs, proxy: Proxy, status: int
) -> None:
    proxy.faults.append(Answer(begins, status=status, body="no such thing", times=None))
    notes: list[str] = []
    store: Any = open_store(target.url, target.options, policy=RetryPolicy(outage=5, note=notes.append))
    for _ in range(2):
        written(store).complete(len(DATA))
        assert content(store) == DATA
    [note] = notes
    assert f"HTTP status {status}" in note
    assert note.endswith("it goes in one session, part after part")
    assert len([request for request in proxy.requests if begins(request)]) == 1
    assert not store.capabilities.parallel_parts
    assert store.capabilities.max_parts is None
    store.close()


def test_a_role_without_the_permission_is_enough(store: Any, front: Front) -> None:
    front.denied = {"create", "abort", "list", "listParts"}
    written(store).complete(len(DATA))
    assert content(store) == DATA
    with pytest.raises(AccessDenied):
        store.find_uploads("")


def test_a_refusal_after_parts_were_taken_is_an_error(store: Any, front: Front) -> None:
    written(store).complete(len(DATA))
    front.denied = {"create"}
    with pytest.raises(AccessDenied, match="can't begin the upload"):
        store.begin(KEY).write(1, memoryview(PARTS[0]))


def test_who_may_write_neither_in_parts_nor_in_a_session_is_told_so(store: Any, proxy: Proxy) -> None:
    proxy.faults.append(Answer(lambda request: request.method == "POST", status=403, body="you may not", times=None))
    writer = store.begin(KEY)
    with pytest.raises(AccessDenied, match="can't write"):
        writer.write(1, memoryview(PARTS[0]))
    writer.abort()
    assert store.capabilities.first_part_shows  # nothing is known of parts


def test_a_part_that_was_changed_on_its_way_is_sent_again(store: Any, proxy: Proxy) -> None:
    writer = store.begin(KEY)
    writer.write(2, memoryview(PARTS[1]))
    proxy.faults.append(Flip("up", 1_000_000))
    with pytest.raises(Unreachable, match="the bytes were changed on their way"):
        writer.write(1, memoryview(PARTS[0]))
    writer.write(1, memoryview(PARTS[0]))
    writer.complete(len(DATA))
    assert content(store) == DATA


def test_bytes_that_were_changed_in_the_store_are_found_at_the_end_and_the_object_is_deleted(
    store: Any, front: Front
) -> None:
    writer = written(store)
    [upload] = front.uploads.values()
    upload.parts[1].data[1000] ^= 1
    with pytest.raises(StorageError, match="another checksum; removed"):
        writer.complete(len(DATA))
    assert keys(store) == []


def test_credentials_that_may_only_write_are_enough(store: Any, proxy: Proxy) -> None:
    proxy.faults.append(Answer(lambda request: request.method == "GET", status=403, body="you may not", times=None))
    assert written(store).complete(len(DATA)).size == len(DATA)
    proxy.faults.clear()
    assert content(store) == DATA


@pytest.mark.parametrize("done", [True, False])
def test_an_upload_whose_begin_was_not_answered_does_not_stay_behind(
    store: Any, front: Front, proxy: Proxy, done: bool
) -> None:
    store.put("other", memoryview(OLDER))  # whose connection is kept: a request on it must not be repeated unseen
    proxy.faults.append(lost(begins, done=done))
    writer = store.begin(KEY)
    with pytest.raises(Unreachable):
        writer.write(1, memoryview(PARTS[0]))
    assert len(front.uploads) == done
    writer.write(1, memoryview(PARTS[0]))
    writer.write(2, memoryview(PARTS[1]))
    writer.complete(len(DATA))
    assert front.uploads == {}
    assert content(store) == DATA


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("times", [1, 2])
def test_a_completion_whose_answer_got_lost_is_looked_up(store: Any, proxy: Proxy, done: bool, times: int) -> None:
    store.put(KEY, memoryview(OLDER))
    writer = written(store)
    proxy.faults.append(lost(completes, done=done, times=times))
    for _ in range(times):
        with pytest.raises(Unreachable):
            writer.complete(len(DATA))
    assert writer.complete(len(DATA)).size == len(DATA)
    assert proxy.faults[0].hits == times
    writer.abort()
    assert content(store) == DATA


def test_a_completion_that_takes_longer_than_its_answer_is_waited_for(store: Any, front: Front, proxy: Proxy) -> None:
    """The service may still put the parts together when it no longer knows the upload."""
    writer = written(store)
    proxy.faults.append(lost(completes, done=False))
    with pytest.raises(Unreachable):
        writer.complete(len(DATA))
    front.uploads.clear()
    with pytest.raises(Unreachable, match="may still put its parts together"):
        writer.complete(len(DATA))
    store.put(KEY, memoryview(DATA))
    assert writer.complete(len(DATA)).size == len(DATA)


@pytest.mark.parametrize("done", [True, False])
def test_an_abort_after_a_completion_whose_answer_got_lost_leaves_nothing(
    store: Any, front: Front, proxy: Proxy, done: bool
) -> None:
    writer = written(store)
    proxy.faults += [Answer(completes, status=0, forward=done, times=1), Answer(completes, status=503, times=None)]
    with pytest.raises(Unreachable):
        writer.complete(len(DATA))
    assert keys(store) == ([KEY] if done else [])
    writer.abort()
    writer.abort()
    assert (keys(store), front.uploads) == ([], {})


def test_an_abort_of_what_can_not_be_compared_leaves_nothing(store: Any, proxy: Proxy) -> None:
    writer = written(store)
    proxy.faults.append(Answer(lambda request: request.method == "GET", times=None))
    with pytest.raises(Unreachable):
        writer.complete(len(DATA))
    proxy.faults.clear()
    assert keys(store) == [KEY]
    writer.abort()
    assert keys(store) == []


@pytest.mark.parametrize("size", [len(DATA), 12])
def test_an_older_object_is_not_taken_for_an_upload_that_the_store_has_forgotten(
    store: Any, front: Front, size: int
) -> None:
    store.put(KEY, memoryview(OLDER)[:size])
    writer = written(store)
    front.uploads.clear()
    with pytest.raises(StorageError, match="NoSuchUpload"):
        writer.complete(len(DATA))
    with pytest.raises(StorageError, match="NoSuchUpload"):
        writer.write(1, memoryview(PARTS[0]))
    writer.abort()
    assert content(store) == OLDER[:size]


@pytest.mark.parametrize("of", [begins, completes])
def test_a_page_of_some_portal_is_no_success(store: Any, proxy: Proxy, of: Any) -> None:
    proxy.faults.append(Answer(of, status=200, body="<html>welcome</html>", times=None))
    with pytest.raises(Unreachable, match="the answer is not the store's"):
        written(store).complete(len(DATA))
    assert keys(store) == []


def test_an_abort_ends_a_part_that_is_on_its_way(store: Any, front: Front, proxy: Proxy) -> None:
    writer = store.begin(KEY)
    writer.write(2, memoryview(PARTS[1]))
    failed: list[object] = []

    def send() -> None:
        with pytest.raises(StorageError) as caught:
            writer.write(1, memoryview(PARTS[0]))
        failed.append(caught)

    proxy.faults.append(Answer(lambda request: request.method == "PUT", status=0, forward=True, times=None))
    sending = threading.Thread(target=send)
    sending.start()
    writer.abort()
    sending.join(30)
    assert (len(failed), front.uploads) == (1, {})


def test_whoever_asks_is_charged_where_it_is_said(target: Gcs, proxy: Proxy) -> None:
    store = open_store(target.url, {**target.options, "requester_pays": "our-project"})
    written(store).complete(len(DATA))
    store.find_uploads("")
    uploads = [request for request in proxy.requests if "upload" in request.path]
    assert len(uploads) == 5
    assert {request.headers.get("x-goog-user-project") for request in uploads} == {"our-project"}
    store.close()


def test_other_credentials_count_for_parts_too(store: Any, target: Gcs) -> None:
    renewed: Any = open_store(target.url, {**target.options, "endpoint_url": f"http://127.0.0.1:{closed_port()}"})
    renewed.renew(lambda: store)
    written(renewed).complete(len(DATA))
    assert content(renewed) == DATA
