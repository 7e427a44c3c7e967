"""S3Store against stores that do it wrong, and with credentials that allow little."""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import AccessDenied, ConfigError, ObjectChanged, StorageError, Unreachable
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.s3.open import open_s3
from tests.contract.stores import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.minio import Minio

KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000"


class Gateway(ThreadingHTTPServer):
    """The least of an S3 gateway: objects in a dict, with the faults of some."""

    ignores_ranges = False
    frames_uploads = False
    is_no_s3 = False
    retains = False
    refuses_presigned = False
    refuses_checksums = False
    says_yes = False
    etag = '"x"'

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.methods: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.refused = 0


class _Handler(BaseHTTPRequestHandler):
    server: Gateway
    protocol_version = "HTTP/1.1"

    @property
    def key(self) -> str:
        """The object, without the signature."""
        return self.path.partition("?")[0]

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.is_no_s3:
            return self.answer(404, b"<html>no such page</html>")
        if self.server.says_yes:
            return self.answer(200, b"<html>welcome</html>")
        if self.is_refused():
            return None
        self.server.objects[self.key] = b"7;chunk-signature=x\r\n" + data if self.server.frames_uploads else data
        return self.answer(200, b"", ETag='"not-the-md5"')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.says_yes:
            return self.answer(200, b"<html>welcome</html>")
        return self.answer(404, b"<html>no such page</html>")

    def do_GET(self) -> None:
        if self.is_refused():
            return None
        data = self.server.objects.get(self.key)
        if data is None:
            return self.answer(404, b"")
        begin, end = (int(word) for word in self.headers.get("Range", f"bytes=0-{len(data) - 1}")[6:].split("-"))
        if "Range" not in self.headers or self.server.ignores_ranges:
            return self.answer(200, data, ETag=self.server.etag)
        return self.answer(
            206, data[begin : end + 1], ETag=self.server.etag, **{"Content-Range": f"bytes {begin}-{end}/{len(data)}"}
        )

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def do_DELETE(self) -> None:
        if self.server.retains:
            return self.answer(403, b"<Error><Code>AccessDenied</Code><Message>retained</Message></Error>")
        self.server.objects.pop(self.key, None)
        return self.answer(204, b"")

    def is_refused(self) -> bool:
        """Whether the gateway takes no such request; it is answered then."""
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        checksums = any(name.startswith("x-amz-checksum") for name in self.server.headers[-1])
        refused = self.server.refuses_presigned and "X-Amz-Signature" in self.path
        if refused or (self.server.refuses_checksums and checksums):
            self.server.refused += 1
            self.answer(400, b"<Error><Code>InvalidArgument</Code><Message>unsupported</Message></Error>")
            return True
        return False

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.server.methods.append(self.command)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def store_at(gateway: Gateway, **others: Any) -> Any:
    endpoint = f"http://127.0.0.1:{gateway.server_address[1]}"
    return open_store("s3://bucket", {"endpoint_url": endpoint, "key": "someone", "secret": "something", **others})


def test_framing_that_stays_in_the_object_is_noticed_and_the_object_removed(gateway: Gateway) -> None:
    gateway.frames_uploads = True
    store = store_at(gateway)
    with pytest.raises(StorageError, match="held 25 bytes of 4; removed"):
        store.put(KEY, memoryview(b"data"))
    assert gateway.objects == {}
    gateway.frames_uploads = False
    assert store.put(KEY, memoryview(b"data")).size == 4
    store.close()


@pytest.mark.parametrize("part", [True, False])
def test_a_success_without_an_etag_is_not_the_stores(gateway: Gateway, part: bool) -> None:
    """Something in between says 200 to everything, and an older object of that key and size is there."""
    gateway.objects[f"/bucket/{KEY}"] = b"old!"
    store = store_at(gateway)
    gateway.says_yes = True
    with pytest.raises(StorageError):
        store.begin(KEY).write(1, memoryview(b"data")) if part else store.put(KEY, memoryview(b"data"))
    store.close()


def test_an_object_that_is_replaced_between_two_ranges_is_noticed_without_if_match(gateway: Gateway) -> None:
    store = store_at(gateway)
    store.put(KEY, memoryview(b"AAAAAAAAAA"))
    gateway.etag = '"first"'
    info = store.stat(KEY)
    assert read(store, info, 0, 5) == b"AAAAA"
    gateway.objects[f"/bucket/{KEY}"] = b"BBBBBBBBBB"
    gateway.etag = '"second"'
    with pytest.raises(ObjectChanged, match="replaced"):
        read(store, info, 5, 10)
    store.close()


def test_an_object_that_differs_and_cannot_be_removed_is_told(gateway: Gateway) -> None:
    gateway.frames_uploads = gateway.retains = True
    store = store_at(gateway)
    with pytest.raises(
        StorageError, match=r"held 25 bytes of 4; it could not be removed: can't delete .*access denied"
    ):
        store.put(KEY, memoryview(b"data"))
    store.close()


def test_a_gateway_that_ignores_ranges_is_not_believed(gateway: Gateway) -> None:
    gateway.objects[f"/bucket/{KEY}"] = bytes(range(100))
    store = store_at(gateway)
    info = store.stat(KEY)
    assert read(store, info, 10, 20) == bytes(range(10, 20))
    gateway.ignores_ranges = True
    with pytest.raises(StorageError, match="asked for bytes 10-19"):
        read(store, info, 10, 20)
    assert read(store, info, 0, 100) == bytes(range(100))
    store.close()


def test_a_web_server_that_is_no_s3_is_told_so(gateway: Gateway) -> None:
    """It answers 404 to everything; that is no missing object."""
    store = store_at(gateway)
    gateway.is_no_s3 = True
    for call in (
        lambda: store.put(KEY, memoryview(b"data")),
        lambda: store.begin(KEY).write(1, memoryview(b"data")),
        lambda: store.stat(KEY),
        lambda: list(store.find("")),
    ):
        with pytest.raises(StorageError, match="the bucket does not exist, or the endpoint is no S3 service"):
            call()
    store.close()


def test_a_store_that_never_answers_is_given_up() -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        options = {
            "endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "key": "someone",
            "secret": "something",
        }
        store = open_store("s3://bucket", options, timeout=1)
        writer = store.begin(KEY)
        for call in (
            lambda: store.put(KEY, memoryview(b"data")),
            lambda: writer.write(1, memoryview(b"data")),
            lambda: store.stat(KEY),
            lambda: list(store.find("")),
            lambda: store.delete([KEY, KEY + "2"]),
        ):
            with pytest.raises(Unreachable, match=r"did not answer in time|stopped answering"):
                call()
        with pytest.raises(Unreachable):  # an upload may have been begun, and it can't be looked for
            writer.abort()
        store.close()


def test_deleting_gives_up_at_once_when_the_store_is_gone(gateway: Gateway) -> None:
    store = store_at(gateway)
    gateway.server_close()
    calls: list[str] = []
    call = store.control.call

    def noted(method: str, **rest: Any) -> Any:
        calls.append(method)
        return call(method, **rest)

    store.control.call = noted
    with pytest.raises(Unreachable):
        store.delete(f"key{n}" for n in range(100))
    assert calls == ["delete_objects"]
    store.close()


def test_credentials_that_may_only_write_are_enough_for_a_backup(minio: Minio) -> None:
    bucket = "write-only"
    owner = minio.filesystem()
    owner.mkdir(bucket)
    actions = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    allowed = {"Effect": "Allow", "Principal": "*", "Action": actions, "Resource": f"arn:aws:s3:::{bucket}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    owner.call_s3("put_bucket_policy", Bucket=bucket, Policy=policy)
    store = open_store(f"s3://{bucket}", {"endpoint_url": minio.endpoint, "anon": True})
    store.put("small", memoryview(b"small"))
    first = os.urandom(5 << 20)
    writer = store.begin("large")
    writer.write(1, memoryview(first))
    writer.write(2, memoryview(b"the end"))
    assert writer.complete(len(first) + 7).size == len(first) + 7
    with pytest.raises(AccessDenied):
        store.stat("large")
    store.close()
    assert owner.cat(f"{bucket}/large") == first + b"the end"


@pytest.mark.parametrize("where", ["option", "client_kwargs", "variable", "fsspec", "profile"])
def test_a_custom_endpoint_is_known_wherever_it_is_set(
    where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from fsspec.config import conf

    endpoint = "http://127.0.0.1:9"
    options: dict[str, Any] = {}
    if where == "option":
        options["endpoint_url"] = endpoint
    elif where == "client_kwargs":
        options["client_kwargs"] = {"endpoint_url": endpoint}
    elif where == "variable":
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    elif where == "fsspec":
        monkeypatch.setitem(conf, "s3", {"endpoint_url": endpoint, "config_kwargs": {"max_pool_connections": 7}})
    else:
        (tmp_path / "config").write_text(f"[profile other]\nendpoint_url = {endpoint}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        options["profile"] = "other"
    config = open_s3("s3://bucket/prefix", options, 60).control.fs.config_kwargs
    assert config["request_checksum_calculation"] == "when_required"
    assert where != "fsspec" or config["max_pool_connections"] == 7


def test_amazon_itself_keeps_botocores_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert "request_checksum_calculation" not in open_s3("s3://bucket/prefix", {}, 60).control.fs.config_kwargs


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"key": 12345678}, "'key' is not text; put it in quotes"),
        ({"secret": 342391}, "'secret' is not text"),
        ({"client_kwargs": "foo"}, "'client_kwargs' must be a mapping"),
        ({"config_kwargs": ["foo"]}, "'config_kwargs' must be a mapping"),
        ({"endpoint_url": "http://a", "client_kwargs": {"endpoint_url": "http://b"}}, "stands again, and differs"),
        ({"endpoint_url": "localhost:9000"}, "must begin with http:// or https://"),
        ({"endpiont_url": "http://a"}, "did you mean 'endpoint_url'?"),
    ],
)
def test_options_that_s3fs_would_only_choke_on(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_store("s3://bucket/prefix", options)
    assert words in str(caught.value)
