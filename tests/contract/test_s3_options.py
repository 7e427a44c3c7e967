"""What storage_options can say of credentials and of objects, on a real store: with an object of one request and one
of two parts, signed in each way that applies, and looked at by a client of the tests' own.
"""

from __future__ import annotations

import itertools
import os
from base64 import b64encode
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import AccessDenied, CredentialsEnded, StorageError
from fsspec_gp_plugin.redaction import register_secrets, scrub
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.s3.senders import FallingBackSender
from fsspec_gp_plugin.storage.s3.signing import OwnSigner
from tests.contract.stores import content
from tests.servers.minio import KMS_KEY, PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.minio import Minio

pytestmark = pytest.mark.usefixtures("quiet_environment")

_unique = itertools.count()
SMALL = os.urandom(1000)
LARGE = os.urandom((5 << 20) + 70_000)
NAMES = ("small", "large")
# An option that only s3fs knows, though it changes nothing.
SIGNERS: dict[str, dict[str, Any]] = {"own": {}, "s3fs": {"requester_pays": False}}


@pytest.fixture(params=SIGNERS)
def signer(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@contextmanager
def opened(server: Minio, options: dict[str, Any], signer: str = "s3fs") -> Iterator[tuple[Any, str]]:
    """A store of these options alone, and the prefix that it is below."""
    prefix = f"options/{next(_unique)}"
    store: Any = open_store(f"s3://{server.bucket}/{prefix}", {**SIGNERS[signer], **options})
    try:
        sender: Any = store.requests.sender
        if isinstance(sender, FallingBackSender):
            first: Any = sender._first
            assert isinstance(first.signer, OwnSigner) == (signer == "own")
        yield store, prefix
    finally:
        store.close()


def round_trip(store: Any, *, presigned: bool = True) -> None:
    """Write and read both objects; `presigned`: the bytes of parts and ranges go by our own connections."""
    assert store.put("small", memoryview(SMALL)).size == len(SMALL)
    writer = store.begin("large")
    writer.write(2, memoryview(LARGE)[5 << 20 :])
    writer.write(1, memoryview(LARGE)[: 5 << 20])
    assert writer.complete(len(LARGE)).size == len(LARGE)
    assert content(store, "small") == SMALL
    assert content(store, "large") == LARGE
    sender = store.requests.sender
    assert (isinstance(sender, FallingBackSender) and sender._first_works) == presigned


@cache
def client(server: Minio) -> Any:
    """A client of the tests' own."""
    return server.filesystem()


def heads(server: Minio, prefix: str, **parameters: Any) -> list[dict[str, Any]]:
    """What the store tells of both objects."""
    fs = client(server)
    return [fs.call_s3("head_object", Bucket=server.bucket, Key=f"{prefix}/{name}", **parameters) for name in NAMES]


def session_credentials(server: Minio) -> dict[str, str]:
    from botocore.session import Session

    client = Session().create_client(
        "sts",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=USER,
        aws_secret_access_key=PASSWORD,
    )
    found = client.assume_role(RoleArn="arn:aws:iam::123456789012:role/any", RoleSessionName="tests")["Credentials"]
    client.close()
    return {"key": found["AccessKeyId"], "secret": found["SecretAccessKey"], "token": found["SessionToken"]}


def test_a_session_token_goes_with_the_keys(minio: Minio, signer: str) -> None:
    temporary = {"endpoint_url": minio.endpoint, **session_credentials(minio)}
    with opened(minio, temporary, signer) as (store, prefix):
        round_trip(store)
    assert len(heads(minio, prefix)) == 2
    with opened(minio, {**temporary, "token": "another"}, signer) as (store, _):
        with pytest.raises(CredentialsEnded, match="renew the credentials") as caught:
            store.put("small", memoryview(SMALL))
        assert "tried" not in str(caught.value)


def test_a_profile_is_found_in_the_credentials_file(
    minio: Minio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = f"[default]\naws_access_key_id = wrong\naws_secret_access_key = wrong-too\n\n{_profile('backups')}"
    (tmp_path / "credentials").write_text(lines)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with opened(minio, {"endpoint_url": minio.endpoint, "profile": "backups"}) as (store, _):
        round_trip(store)
    with (
        opened(minio, {"endpoint_url": minio.endpoint}) as (store, _),
        pytest.raises(AccessDenied, match="the access key is not known there"),
    ):
        store.put("small", memoryview(SMALL))
    monkeypatch.setenv("AWS_PROFILE", "backups")
    with opened(minio, {"endpoint_url": minio.endpoint}) as (store, _):
        round_trip(store)


def test_a_profile_may_hold_the_endpoint_too(minio: Minio, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(_profile("backups"))
    (tmp_path / ".aws" / "config").write_text(f"[profile backups]\nendpoint_url = {minio.endpoint}\n")
    with opened(minio, {"profile": "backups"}) as (store, _):
        round_trip(store)
        # As for every store at an address of its own.
        assert store.control.fs.config_kwargs["request_checksum_calculation"] == "when_required"


def test_a_missing_profile_is_told(minio: Minio) -> None:
    with pytest.raises(AccessDenied, match="the profile is not in the credentials file"):
        open_store(f"s3://{minio.bucket}", {"endpoint_url": minio.endpoint, "profile": "nobody"}).stat("x")


def test_a_role_is_assumed_by_a_profile(minio: Minio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text(
        "[profile backups]\nrole_arn = arn:aws:iam::123456789012:role/backups\nsource_profile = base\n"
        f"region = us-east-1\n\n{_profile('profile base')}"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", minio.endpoint)
    with opened(minio, {"endpoint_url": minio.endpoint, "profile": "backups"}) as (store, _):
        round_trip(store)
        url = store.requests.sender._first.signer.presign("head_object", **store.target("small")).url
        assert "X-Amz-Security-Token=" in url
        assert USER not in url


def _profile(name: str) -> str:
    return f"[{name}]\naws_access_key_id = {USER}\naws_secret_access_key = {PASSWORD}\n"


OBJECTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "SSE-S3": ({"ServerSideEncryption": "AES256"}, {"ServerSideEncryption": "AES256"}),
    "SSE-KMS": (
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY},
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": f"arn:aws:kms:{KMS_KEY}"},
    ),
    "storage class": ({"StorageClass": "REDUCED_REDUNDANCY"}, {"StorageClass": "REDUCED_REDUNDANCY"}),
    "content type": (
        {"ContentType": "application/x-gp", "CacheControl": "no-store"},
        {"ContentType": "application/x-gp", "CacheControl": "no-store"},
    ),
    "metadata": ({"Metadata": {"made-by": "tests"}}, {"Metadata": {"made-by": "tests"}}),
    # MinIO takes it and does nothing with it.
    "canned ACL": ({"ACL": "bucket-owner-full-control"}, {}),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_said_of_objects_is_kept_with_them(minio: Minio, signer: str, name: str) -> None:
    additional, expected = OBJECTS[name]
    with opened(minio, {**minio.options, "s3_additional_kwargs": additional}, signer) as (store, prefix):
        round_trip(store)
    for found in heads(minio, prefix):
        assert {key: found.get(key) for key in expected} == expected


def test_tags_are_kept_with_objects(minio: Minio, signer: str) -> None:
    options = {**minio.options, "s3_additional_kwargs": {"Tagging": "team=data&keep=30%20days"}}
    with opened(minio, options, signer) as (store, prefix):
        round_trip(store)
    for name in NAMES:
        found = client(minio).call_s3("get_object_tagging", Bucket=minio.bucket, Key=f"{prefix}/{name}")["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in found} == {"team": "data", "keep": "30 days"}


def test_requester_pays_by_s3fs_own_option(minio: Minio) -> None:
    with opened(minio, {**minio.options, "requester_pays": True}) as (store, _):
        round_trip(store)
        request = store.requests.sender._first.signer.presign("get_object", **store.target("small"))
        assert request.headers == {"x-amz-request-payer": "requester"}


@pytest.mark.parametrize("key", ["k" * 32, bytes(range(32))], ids=["text", "bytes"])
def test_a_key_of_the_customers_encrypts(minio_tls: Minio, signer: str, key: str | bytes) -> None:
    """As s3fs takes it: 32 bytes, or text of that length."""
    customers = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}
    with opened(minio_tls, {**minio_tls.options, "s3_additional_kwargs": customers}, signer) as (store, prefix):
        round_trip(store, presigned=False)
    assert len(heads(minio_tls, prefix, **customers)) == 2
    for found in heads(minio_tls, prefix, **customers):
        assert found["SSECustomerAlgorithm"] == "AES256"
    without = open_store(f"s3://{minio_tls.bucket}/{prefix}", minio_tls.options)
    with pytest.raises(StorageError, match="the store refused it"):
        without.stat("small")
    without.close()
    register_secrets(customers)
    assert scrub(f"sent {b64encode(key).decode() if isinstance(key, bytes) else key}") == "sent ***"


def test_the_region_is_signed(minio: Minio, signer: str) -> None:
    options = {**minio.options, "client_kwargs": {"region_name": "eu-central-1"}}
    with opened(minio, options, signer) as (store, _):
        round_trip(store)
        assert (
            "%2Feu-central-1%2Fs3%2F"
            in store.requests.sender._first.signer.presign("head_object", **store.target("x")).url
        )
