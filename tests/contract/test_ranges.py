"""The bytes of a range are those that were asked for, of the version that was found; or it is an error."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import ObjectChanged, StorageError, Unreachable
from fsspec_gp_plugin.storage.http.answer import require_range
from fsspec_gp_plugin.storage.open import open_store
from tests.contract.stores import content, read
from tests.contract.test_s3_gateways import Gateway, _Handler, store_at
from tests.servers.web import Web

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.webdav import Webdav

pytestmark = pytest.mark.usefixtures("quiet_environment")

SIZE = 100
ASKED = (10, 20)


@pytest.mark.parametrize("told", ["bytes 10-19/100", "bytes 10-19/*"])
def test_the_range_that_was_asked_for_is_right(told: str) -> None:
    require_range("KEY", {"content-range": told, "etag": '"x"'}, ASKED, SIZE, '"x"')


@pytest.mark.parametrize(
    ("headers", "kind", "words"),
    [
        ({"content-range": "bytes 0-9/100"}, Unreachable, "asked for bytes 10-19, and got 'bytes 0-9/100'"),
        ({"content-range": "bytes 10-99/100"}, Unreachable, "and got 'bytes 10-99/100'"),
        ({"content-range": "bytes 10-19/101"}, ObjectChanged, "its size has changed"),
        ({"content-range": "bytes 10-19/100", "etag": '"y"'}, ObjectChanged, "was replaced"),
        ({"content-range": "bytes 10-19/100", "etag": 'W/"y"'}, ObjectChanged, "was replaced"),
        ({"content-length": "100"}, StorageError, "the server sends no ranges"),
        ({"content-length": "10"}, StorageError, "the server sends no ranges"),
    ],
)
def test_another_answer_is_an_error(headers: dict[str, str], kind: type[StorageError], words: str) -> None:
    with pytest.raises(StorageError, match=words) as caught:
        require_range("KEY", headers, ASKED, SIZE, '"x"')
    assert type(caught.value) is kind


def test_a_whole_object_serves_as_its_own_beginning() -> None:
    for length in ({"content-length": "100"}, {}):
        require_range("KEY", length, (0, 10), SIZE, None)
    with pytest.raises(StorageError):
        require_range("KEY", {"content-length": "99"}, (0, 10), SIZE, None)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    (tmp_path / "file").write_bytes(bytes(range(SIZE)))
    with Web(tmp_path) as server:
        yield server


@pytest.fixture
def store(web: Web) -> Iterator[Any]:
    opened = open_store(web.endpoint, {}, timeout=5)
    yield opened
    opened.close()


def test_a_web_servers_range_is_read(store: Any) -> None:
    assert read(store, store.stat("file"), *ASKED) == bytes(range(*ASKED))


def test_a_cache_that_answers_each_range_with_the_first_is_not_believed(store: Any, web: Web) -> None:
    info = store.stat("file")
    web.cached = (0, 10)
    with pytest.raises(Unreachable, match="asked for bytes 10-19"):
        read(store, info, *ASKED)


@pytest.mark.parametrize("mark", ["", "W/"])
def test_a_file_that_was_replaced_is_not_mixed_with_the_old_one(
    store: Any, web: Web, tmp_path: Path, mark: str
) -> None:
    web.mark = mark
    info = store.stat("file")
    assert read(store, info, 0, 10) == bytes(range(10))
    (tmp_path / "file").write_bytes(bytes(SIZE))
    with pytest.raises(ObjectChanged):
        read(store, info, *ASKED)


def test_a_server_without_etags_is_read_all_the_same(store: Any, web: Web) -> None:
    web.tells_etags = False
    assert content(store, "file") == bytes(range(SIZE))


def test_a_server_without_ranges_is_told(store: Any, web: Web) -> None:
    web.sends_ranges = False
    with pytest.raises(StorageError, match="the server sends no ranges"):
        read(store, store.stat("file"), *ASKED)


def test_a_webdav_server_with_two_kinds_of_etags_is_read_until_the_one_of_the_file_changes(web: Web) -> None:
    web.dav_etag = "of the file"
    store = open_store("webdav://", {"base_url": web.endpoint}, timeout=5)
    info = store.stat("file")
    assert read(store, info, *ASKED) == bytes(range(*ASKED))
    web.dav_etag = "of another"
    with pytest.raises(ObjectChanged):
        read(store, info, *ASKED)
    store.close()


class _Strict(_Handler, BaseHTTPRequestHandler):
    """If-Match compares strongly, so that a weak ETag never matches."""

    def do_GET(self) -> None:
        if "If-Match" in self.headers and self.server.etag.startswith("W/"):
            return self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        return super().do_GET()


@pytest.mark.parametrize("by_s3fs", [False, True])
def test_a_weak_etag_of_s3_is_compared_and_is_no_condition(by_s3fs: bool) -> None:
    with Gateway() as gateway:
        gateway.RequestHandlerClass = _Strict
        gateway.etag = 'W/"first"'
        threading.Thread(target=gateway.serve_forever, args=(0.02,), daemon=True).start()
        signed = {"config_kwargs": {"s3": {"payload_signing_enabled": True}}} if by_s3fs else {}
        store = store_at(gateway, **signed)
        store.put("file", memoryview(bytes(range(SIZE))))
        info = store.stat("file")
        assert read(store, info, *ASKED) == bytes(range(*ASKED))
        gateway.etag = 'W/"second"'
        with pytest.raises(ObjectChanged):
            read(store, info, *ASKED)
        store.close()
        gateway.shutdown()


def test_a_file_that_was_replaced_on_a_webdav_server_is_noticed(webdav: Webdav) -> None:
    store = open_store(f"{webdav.url}/ranges", webdav.options, timeout=5)
    store.put("file", memoryview(b"old" * 100))
    info = store.stat("file")
    store.put("file", memoryview(b"newer" * 100))  # of another size: it tells time by the second
    with pytest.raises(ObjectChanged):
        read(store, info, 0, 100)
    assert content(store, "file") == b"newer" * 100
    store.close()
