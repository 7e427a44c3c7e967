"""What stores answer to create(): that there is an object, that two requests met, that they know no such condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import AccessDenied, AlreadyExists, StorageError, Unreachable
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from tests.contract.stores import content, keys
from tests.servers import azurite
from tests.servers.faults import Answer
from tests.servers.pages import Pages
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.minio import Minio
    from tests.servers.smb import Smb

KEY = "backups/20260101/20260101120000/fsspec_gp_plugin/claim.json"
STORES: dict[str, tuple[str, dict[str, Any]]] = {
    "s3": ("s3://bucket", {"key": "someone", "secret": "something"}),
    "s3 by s3fs": (
        "s3://bucket",
        {"key": "a", "secret": "b", "config_kwargs": {"s3": {"payload_signing_enabled": True}}},
    ),
    "gcs": ("gs://bucket", {"token": "anon"}),
    "azure": ("abfs://container", {}),
}


def xml(code: str) -> str:
    return f"<Error><Code>{code}</Code><Message>x</Message></Error>"


GOOGLE = '{{"error": {{"code": {0}, "message": "x", "errors": [{{"reason": "{1}"}}]}}}}'
ANSWERS = [
    ("s3", 412, xml("PreconditionFailed"), AlreadyExists),
    ("s3", 412, "", AlreadyExists),
    ("s3", 409, xml("ConditionalRequestConflict"), Unreachable),
    ("s3", 501, xml("NotImplemented"), StorageError),
    ("s3", 400, xml("InvalidArgument"), StorageError),
    ("s3", 403, xml("AccessDenied"), AccessDenied),
    ("s3", 404, xml("NoSuchBucket"), StorageError),
    ("s3 by s3fs", 412, xml("PreconditionFailed"), AlreadyExists),
    ("s3 by s3fs", 409, xml("ConditionalRequestConflict"), Unreachable),
    ("s3 by s3fs", 501, xml("NotImplemented"), StorageError),
    ("gcs", 412, GOOGLE.format(412, "conditionNotMet"), AlreadyExists),
    ("gcs", 403, GOOGLE.format(403, "forbidden"), AccessDenied),
    ("gcs", 503, "", Unreachable),
    ("azure", 409, xml("BlobAlreadyExists"), AlreadyExists),
    ("azure", 412, xml("ConditionNotMet"), AlreadyExists),
    ("azure", 409, xml("BlobImmutableDueToPolicy"), StorageError),
    ("azure", 404, xml("ContainerNotFound"), StorageError),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Pages]:
    with Pages() as running:
        yield running


@pytest.mark.usefixtures("quiet_environment")
@pytest.mark.parametrize(
    ("kind", "status", "body", "error"),
    ANSWERS,
    ids=[f"{kind}-{status}-{body[:40]}" for kind, status, body, _ in ANSWERS],
)
def test_what_an_answer_means(kind: str, status: int, body: str, error: type[StorageError], server: Pages) -> None:
    url, options = STORES[kind]
    where = azurite.options(server.endpoint) if kind == "azure" else {"endpoint_url": server.endpoint}
    store = open_store(url, {**options, **where}, timeout=5)
    server.answer = lambda _: (status, body)
    with pytest.raises(StorageError) as caught:
        store.create(KEY, memoryview(b"x"))
    assert type(caught.value) is error
    assert KEY in str(caught.value)
    store.close()


def test_two_requests_that_met_are_repeated(minio: Minio, tmp_path: Path) -> None:
    with Proxy(minio.endpoint) as proxy:
        conflict = Answer(lambda request: request.method == "PUT", 409, xml("ConditionalRequestConflict"), times=2)
        proxy.faults.append(conflict)
        options = {**minio.options, "endpoint_url": proxy.endpoint}
        store = open_store(f"s3://{minio.bucket}/{tmp_path.name}", options, policy=RetryPolicy(20, first_pause=0.01))
        store.create(KEY, memoryview(b"first"))
        assert (conflict.hits, content(store, KEY)) == (2, b"first")
        store.close()


def test_after_an_answer_that_got_lost_the_object_may_be_ones_own(minio: Minio, tmp_path: Path) -> None:
    with Proxy(minio.endpoint) as proxy:
        options = {**minio.options, "endpoint_url": proxy.endpoint}
        store = open_store(f"s3://{minio.bucket}/{tmp_path.name}", options, policy=RetryPolicy(20, first_pause=0.01))
        proxy.faults.append(Answer(lambda request: request.method == "PUT", status=0, forward=True))
        with pytest.raises(AlreadyExists):
            store.create(KEY, memoryview(b"one's own"))
        assert content(store, KEY) == b"one's own"
        store.close()


def test_a_condition_that_is_refused_spoils_no_other_request(minio: Minio, tmp_path: Path) -> None:
    """Else presigned requests, or checksums, would be taken for what the store does not know."""
    with Proxy(minio.endpoint) as proxy:
        proxy.faults.append(Answer(lambda one: "if-none-match" in one.headers, 501, xml("NotImplemented"), times=None))
        options = {**minio.options, "endpoint_url": proxy.endpoint}
        store = open_store(f"s3://{minio.bucket}/{tmp_path.name}", options)
        with pytest.raises(StorageError):
            store.create(KEY, memoryview(b"first"))
        del proxy.requests[:]
        store.put(KEY, memoryview(b"second"))
        [request] = [one for one in proxy.requests if one.method == "PUT"]
        assert "X-Amz-Signature" in request.path
        assert "x-amz-checksum-crc32c" in request.headers
        store.close()


def test_smb_creates_where_files_have_no_second_names(
    smb: Smb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import smbclient
    from smbprotocol.exceptions import SMBOSError

    def link(*_: object, **__: object) -> None:
        raise SMBOSError(0xC00000BB, "claim.json")  # STATUS_NOT_SUPPORTED

    monkeypatch.setattr(smbclient, "link", link)
    store = open_store(f"{smb.url}/{tmp_path.name}", smb.options)
    store.create(KEY, memoryview(b"first"))
    with pytest.raises(AlreadyExists):
        store.create(KEY, memoryview(b"second"))
    assert content(store, KEY) == b"first"
    assert keys(store, unfinished=True) == [KEY]
    store.close()
