"""By which of its ways S3Store sends and fetches bytes, and how it finds out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.checksum import crc32c, in_base64
from fsspec_gp_plugin.errors import AccessDenied, StorageError, Unreachable
from fsspec_gp_plugin.storage.errors import translating
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.s3.credentials import own_signer
from fsspec_gp_plugin.storage.s3.senders import Request
from fsspec_gp_plugin.storage.s3.signing import CannotPresignError, Keys, OwnSigner
from tests.contract.stores import content
from tests.contract.test_s3_gateways import KEY, Gateway, gateway, store_at

if TYPE_CHECKING:
    from tests.servers.minio import Minio

__all__ = ["gateway"]  # the fixture
LITERAL = {"endpoint_url": "http://127.0.0.1:9", "key": "someone", "secret": "something"}
DATA = memoryview(b"some data")


def test_presigned_requests_carry_no_authorization_header(gateway: Gateway) -> None:
    store = store_at(gateway)
    store.put(KEY, DATA)
    assert content(store, KEY) == DATA
    assert not any("authorization" in headers for headers in gateway.headers)
    assert gateway.headers[0]["x-amz-checksum-crc32c"] == in_base64(crc32c(DATA))
    store.close()


def test_a_store_that_refuses_presigned_requests_gets_the_others_from_then_on(gateway: Gateway) -> None:
    gateway.refuses_presigned = True
    store = store_at(gateway)
    store.put(KEY, DATA)
    assert content(store, KEY) == DATA
    refused = gateway.refused
    store.put(KEY + "2", DATA)
    assert content(store, KEY + "2") == DATA
    assert gateway.refused == refused
    assert len(gateway.objects) == 2
    store.close()


def test_a_store_that_refuses_checksum_headers_gets_md5_from_then_on(gateway: Gateway) -> None:
    gateway.refuses_checksums = True
    store = store_at(gateway)
    store.put(KEY, DATA)
    assert "content-md5" in gateway.headers[-1] or gateway.methods[-1] == "HEAD"
    refused = gateway.refused
    store.put(KEY + "2", DATA)
    assert gateway.refused == refused
    assert len(gateway.objects) == 2
    store.close()


def test_a_restore_from_a_store_that_refuses_checksum_headers_asks_without(gateway: Gateway) -> None:
    """Its process has sent nothing that told it before."""
    gateway.objects[f"/bucket/{KEY}"] = bytes(DATA)
    gateway.refuses_checksums = True
    store = store_at(gateway)
    assert store.stat(KEY).size == len(DATA)
    refused = gateway.refused
    assert content(store, KEY) == DATA
    assert store.crc32c(store.stat(KEY)) is None
    assert gateway.refused == refused
    store.close()


def test_an_object_that_cannot_be_compared_is_not_deleted(gateway: Gateway) -> None:
    """Only what was seen to differ is."""
    store = store_at(gateway)
    gateway.etag = ""
    with pytest.raises(StorageError, match="no ETag"):
        store.put(KEY, DATA)
    assert len(gateway.objects) == 1
    store.close()


def test_uploads_that_somebody_else_ends_meanwhile_do_not_stop_the_clean_up(minio: Minio) -> None:
    store: Any = open_store(f"s3://{minio.bucket}/meanwhile", minio.options)
    for name in ("a/1", "a/2", "b/3"):
        store.begin(name).write(1, memoryview(b"data"))
    call = store.control.call

    def twice(method: str, **parameters: Any) -> Any:
        if method == "abort_multipart_upload":
            call(method, **parameters)
        return call(method, **parameters)

    store.control.call = twice
    assert store.delete_unfinished("a/") == 2
    assert store.delete_unfinished("a/") == 0
    store.control.call = call
    assert store.delete_unfinished("") == 1
    store.close()


def test_when_required_sends_no_checksum_headers_of_amazons(gateway: Gateway) -> None:
    store = store_at(gateway, config_kwargs={"request_checksum_calculation": "when_required"})
    store.put(KEY, DATA)
    assert content(store, KEY) == DATA
    assert not any(name.startswith("x-amz-checksum") for headers in gateway.headers for name in headers)
    assert "content-md5" in gateway.headers[0]
    store.close()


def test_an_endpoint_may_be_written_in_capitals(minio: Minio) -> None:
    """It is signed as it is sent, and it is sent in lower case."""
    endpoint = minio.endpoint.replace("http://127.0.0.1", "HTTP://LocalHost")
    for more in ({}, {"use_ssl": False}):
        store = open_store(f"s3://{minio.bucket}/capitals", {**minio.options, "endpoint_url": endpoint, **more})
        store.put(KEY, DATA)
        assert content(store, KEY) == DATA
        store.close()


def test_wrong_credentials_are_told_and_the_object_is_not_there(minio: Minio) -> None:
    store = open_store(f"s3://{minio.bucket}", {**minio.options, "secret": "another-secret"})
    with pytest.raises(AccessDenied, match="the secret key does not match"):
        store.put(KEY, DATA)
    with pytest.raises(AccessDenied):
        store.fetch(KEY, memoryview(bytearray(10)))
    store.close()


def test_bytes_that_change_on_their_way_up_are_refused_by_the_store(minio: Minio) -> None:
    """A part's checksum is signed, so it can't be changed with the bytes."""
    store: Any = open_store(f"s3://{minio.bucket}", minio.options)
    writer: Any = store.begin(KEY + "flip")
    part = os.urandom(5 << 20)
    writer.write(1, memoryview(part))
    upload = {**store.target(KEY + "flip"), "UploadId": writer._begun.upload_id, "PartNumber": 2}
    wrong = Request("upload_part", {**upload, "ChecksumCRC32C": in_base64(crc32c(part) ^ 1)}, memoryview(part))
    with pytest.raises(Unreachable, match="changed on their way"), translating("can't write"):
        store.requests.sender.send(wrong)
    writer.abort()
    store.close()


@pytest.mark.parametrize(
    "options",
    [
        {"profile": "missing"},
        {"anon": True},
        {"client_kwargs": {"use_ssl": False}},
        {"config_kwargs": {"s3": {"addressing_style": "virtual"}}},
        {"config_kwargs": {"s3": {"payload_signing_enabled": True}}},
        {"config_kwargs": {"signature_version": "s3"}},
        {"config_kwargs": {"user_agent": "x"}},
        {"key": ""},
        {"endpoint_url": "https://s3.eu-central-1.amazonaws.com"},
        {"endpoint_url": "http://127.0.0.1:9/behind/a/path"},
        {"requester_pays": True},
    ],
)
def test_what_is_not_said_literally_is_left_to_s3fs(options: dict[str, Any]) -> None:
    assert own_signer("bucket", {**LITERAL, **options}) is None


def without_time(url: str) -> list[str]:
    path, _, query = url.partition("?")
    words = [word for word in query.split("&") if not word.startswith(("X-Amz-Date", "X-Amz-Signature"))]
    return [path, *sorted(words)]


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for known in list(os.environ):
        if known.startswith(("AWS_", "FSSPEC_", "BOTO_")):
            monkeypatch.delenv(known)
    monkeypatch.setenv("HOME", "/nowhere")
    return monkeypatch


@pytest.mark.parametrize("name", ["AWS_PROFILE", "AWS_USE_FIPS_ENDPOINT", "FSSPEC_S3_KEY", "BOTO_CONFIG"])
def test_what_the_environment_may_say_is_left_to_s3fs(clean_environment: pytest.MonkeyPatch, name: str) -> None:
    assert own_signer("bucket", LITERAL) is not None
    clean_environment.setenv(name, "x")
    assert own_signer("bucket", LITERAL) is None


@pytest.mark.parametrize("token", [{}, {"AWS_SESSION_TOKEN": "a session's token"}])
def test_keys_of_the_environment_sign_as_with_s3fs(
    clean_environment: pytest.MonkeyPatch, token: dict[str, str]
) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "something", **token}.items():
        clean_environment.setenv(name, value)
    options = {"endpoint_url": LITERAL["endpoint_url"]}
    mine = own_signer("bucket", options)
    assert mine is not None
    store: Any = open_store("s3://bucket", {**options, "use_ssl": False})
    theirs = store.requests.sender._first.signer
    assert not isinstance(theirs, OwnSigner)
    request = {"Bucket": "bucket", "Key": "key"}
    assert without_time(mine.presign("get_object", **request).url) == without_time(
        theirs.presign("get_object", **request).url
    )
    store.close()


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"key": "another"}, {}),
        ({"token": "another"}, {}),
        ({}, {"AWS_SECURITY_TOKEN": "old"}),
        ({"anon": True}, {}),
    ],
)
def test_keys_of_the_environment_beside_others_are_left_to_s3fs(
    clean_environment: pytest.MonkeyPatch, options: dict[str, Any], more: dict[str, str]
) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "something", **more}.items():
        clean_environment.setenv(name, value)
    assert own_signer("bucket", {"endpoint_url": LITERAL["endpoint_url"], **options}) is None


@pytest.mark.parametrize("key", ["plain", "naïve & co + 100% #1 =?~.txt", "a//b/./c"])
@pytest.mark.parametrize("operation", ["get_object", "put_object", "upload_part"])
def test_both_signers_sign_the_same_request(key: str, operation: str) -> None:
    additional = {"ServerSideEncryption": "aws:kms", "StorageClass": "STANDARD_IA", "Tagging": "a=b"}
    options = {
        **LITERAL,
        "token": "a session's token",
        "client_kwargs": {"region_name": "eu-central-1"},
        "s3_additional_kwargs": additional,
    }
    parameters: dict[str, Any] = {"Bucket": "bucket", "Key": key}
    if operation == "upload_part":
        parameters |= {"UploadId": "an id", "PartNumber": 7, "ChecksumCRC32C": "AAAAAA=="}
    keys = Keys("someone", "something", "a session's token")
    address = f"{LITERAL['endpoint_url']}/bucket"
    mine = OwnSigner(address, "eu-central-1", lambda: keys, additional).presign(operation, **parameters)
    store: Any = open_store("s3://bucket", {**options, "use_ssl": False})
    theirs = store.requests.sender._first.signer.presign(operation, **parameters)
    store.close()

    assert without_time(mine.url) == without_time(theirs.url)
    assert (mine.method, mine.headers) == (theirs.method, theirs.headers)


def test_parameters_that_cannot_be_presigned_are_not() -> None:
    additional = {"Metadata": {"a": "b"}}
    signer = OwnSigner("http://127.0.0.1:9/bucket", "x", lambda: Keys("someone", "something"), additional)
    with pytest.raises(CannotPresignError):
        signer.presign("put_object", Bucket="bucket", Key="key")
    signer.presign("upload_part", Bucket="bucket", Key="key", UploadId="x", PartNumber=1)


def test_what_cannot_be_presigned_goes_by_s3fs(minio: Minio) -> None:
    options = {**minio.options, "s3_additional_kwargs": {"Metadata": {"made-by": "a-test"}, "StorageClass": "STANDARD"}}
    store = open_store(f"s3://{minio.bucket}/metadata", options)
    store.put(KEY, DATA)
    assert content(store, KEY) == DATA
    head = minio.filesystem().call_s3("head_object", Bucket=minio.bucket, Key=f"metadata/{KEY}")
    assert head["Metadata"] == {"made-by": "a-test"}
    store.close()
