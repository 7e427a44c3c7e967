"""Credentials of botocore's own chain, without s3fs: the same requests as s3fs would sign, or left to it."""

from __future__ import annotations

import json
import os
import signal
import threading
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import CredentialsEnded, StorageError
from fsspec_gp_plugin.storage.credential_renewal import within
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.s3 import credentials
from fsspec_gp_plugin.storage.s3.credentials import own_signer
from fsspec_gp_plugin.storage.s3.signing import OwnSigner
from tests.contract.stores import content
from tests.contract.test_s3_requests import without_time
from tests.protocol.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.minio import Minio

KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000_16384"
PLAIN = "[profile p]\naws_access_key_id = someone\naws_secret_access_key = something\n"
ENDPOINT = {"endpoint_url": "http://127.0.0.1:9"}
VARIABLES = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "something"}
REGION = {"client_kwargs": {"region_name": "eu-central-1"}}

# Options, ~/.aws/config and variables that leave nothing to s3fs.
KNOWN: dict[str, tuple[dict[str, Any], str, dict[str, str]]] = {
    "profile": ({**ENDPOINT, "profile": "p"}, PLAIN, {}),
    "profile of the environment": (ENDPOINT, PLAIN, {"AWS_PROFILE": "p"}),
    "region of the profile": ({**ENDPOINT, "profile": "p"}, f"{PLAIN}region = eu-central-1\n", {}),
    "region of the options": ({**ENDPOINT, **REGION, "profile": "p"}, f"{PLAIN}region = eu-west-1\n", {}),
    "region of the environment": (ENDPOINT, "", {**VARIABLES, "AWS_DEFAULT_REGION": "eu-central-1"}),
    "token of the profile": ({**ENDPOINT, "profile": "p"}, f"{PLAIN}aws_session_token = a token\n", {}),
    "endpoint of the profile": ({"profile": "p"}, f"{PLAIN}endpoint_url = http://127.0.0.1:9\n", {}),
    "endpoint of the environment": ({}, "", {**VARIABLES, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}),
    "endpoint of S3 in the environment": (
        {}, "", {**VARIABLES, "AWS_ENDPOINT_URL": "http://127.0.0.1:8", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9/"},
    ),
    "keys of the options beside a file": ({**ENDPOINT, "key": "someone", "secret": "something"}, PLAIN, {}),
    "Amazon": ({**REGION, "key": "someone", "secret": "something"}, "", {}),
    "Amazon with a profile": ({"profile": "p"}, f"{PLAIN}region = ap-southeast-2\n", {}),
}  # fmt: skip

# What may say more than is known here.
UNKNOWN: dict[str, tuple[dict[str, Any], str, dict[str, str]]] = {
    "no region on Amazon": ({"profile": "p"}, PLAIN, {}),
    "China": ({"profile": "p"}, f"{PLAIN}region = cn-north-1\n", {}),
    "a government": ({"profile": "p"}, f"{PLAIN}region = us-gov-west-1\n", {}),
    "services": (
        {**ENDPOINT, "profile": "p"},
        f"{PLAIN}services = x\n[services x]\ns3 =\n  endpoint_url = http://a\n",
        {},
    ),
    "settings of s3": ({**ENDPOINT, "profile": "p"}, f"{PLAIN}s3 =\n  addressing_style = virtual\n", {}),
    "fips": ({"profile": "p"}, f"{PLAIN}region = us-east-2\nuse_fips_endpoint = true\n", {}),
    "dual stack": ({**REGION}, "", {**VARIABLES, "AWS_USE_DUALSTACK_ENDPOINT": "true"}),
    "ignored endpoints": (REGION, "", {**VARIABLES, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}),
    "a missing profile": ({**ENDPOINT, "profile": "missing"}, PLAIN, {}),
    "half a key": ({**ENDPOINT, "key": "someone"}, PLAIN, {}),
    "a token alone": ({**ENDPOINT, "token": "a token"}, PLAIN, {}),
    "an endpoint with a path": ({"profile": "p"}, f"{PLAIN}endpoint_url = http://127.0.0.1:9/s3\n", {}),
    "authorities of the profile": ({**ENDPOINT, "profile": "p"}, f"{PLAIN}ca_bundle = /x.pem\n", {}),
}


@pytest.fixture
def home(quiet_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    del quiet_environment
    (tmp_path / ".aws").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def arrange(home: Path, monkeypatch: pytest.MonkeyPatch, settings: str, variables: dict[str, str]) -> None:
    if settings:
        (home / ".aws/config").write_text(settings)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", KNOWN)
def test_the_same_requests_are_signed_as_by_s3fs(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options, settings, variables = KNOWN[name]
    arrange(home, monkeypatch, settings, variables)
    mine = own_signer("bucket", options)
    assert mine is not None
    # An option that only s3fs knows, though it changes nothing.
    store: Any = open_store("s3://bucket", {**options, "requester_pays": False})
    theirs = store.requests.sender._first.signer
    assert not isinstance(theirs, OwnSigner)
    for operation, more in (("get_object", {}), ("upload_part", {"UploadId": "an id", "PartNumber": 7})):
        parameters = {"Bucket": "bucket", "Key": "a//key & more", **more}
        ours, other = mine.presign(operation, **parameters), theirs.presign(operation, **parameters)
        assert without_time(ours.url) == without_time(other.url)
        assert (ours.method, ours.headers) == (other.method, other.headers)
    own: Any = open_store("s3://bucket", options)
    assert isinstance(own.requests.sender._first.signer, OwnSigner)
    assert own.transport_security()[1:] == store.transport_security()[1:]
    assert own.transport_security().host.endswith(store.transport_security().host)
    own.close()
    store.close()


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_may_say_more_is_left_to_s3fs(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options, settings, variables = UNKNOWN[name]
    arrange(home, monkeypatch, settings, variables)
    assert own_signer("bucket", options) is None


def test_a_bucket_whose_name_is_no_host_is_left_to_s3fs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrange(home, monkeypatch, "", VARIABLES)
    assert own_signer("bucket", REGION) is not None
    assert own_signer("bucket.with.dots", REGION) is None


def process(home: Path, given: object) -> str:
    """A profile whose credentials another program gives, which are in a file beside it."""
    (home / "given.json").write_text(json.dumps(given))
    return f"[profile p]\ncredential_process = cat {home}/given.json\n"


@pytest.mark.parametrize("kind", ["profile", "process"])
def test_objects_are_stored_and_read_with_such_credentials(
    kind: str, home: Path, monkeypatch: pytest.MonkeyPatch, minio: Minio
) -> None:
    options = minio.options
    key, secret = options.pop("key"), options.pop("secret")
    settings = f"[profile p]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    if kind == "process":
        settings = process(home, {"Version": 1, "AccessKeyId": key, "SecretAccessKey": secret})
    arrange(home, monkeypatch, settings, {})
    store: Any = open_store(f"s3://{minio.bucket}/chain-{kind}", {**options, "profile": "p"})
    assert isinstance(store.requests.sender._first.signer, OwnSigner)
    data = os.urandom(1000)
    store.put(KEY, memoryview(data))
    assert content(store, KEY) == data
    assert [info.key for info in store.find("")] == [KEY]
    store.close()


def test_credentials_that_are_renewed_are_used_from_then_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # botocore asks again some minutes before their end.
    soon = (datetime.now(timezone.utc) + timedelta(seconds=60)).isoformat()
    given = {"Version": 1, "AccessKeyId": "first", "SecretAccessKey": "s", "Expiration": soon}
    arrange(home, monkeypatch, process(home, given), {"AWS_PROFILE": "p"})
    signer = own_signer("bucket", ENDPOINT)
    assert signer is not None
    assert "=first%2F" in signer.presign("get_object", Bucket="bucket", Key="k").url
    process(home, {**given, "AccessKeyId": "second", "Expiration": "2099-01-01T00:00:00Z"})
    assert "=second%2F" in signer.presign("get_object", Bucket="bucket", Key="k").url


def test_credentials_that_nobody_gives_are_told_as_with_s3fs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrange(home, monkeypatch, "[profile p]\nregion = eu-central-1\n", {"AWS_EC2_METADATA_DISABLED": "true"})
    for more in ({}, {"requester_pays": False}):
        store = open_store("s3://bucket", {**ENDPOINT, "profile": "p", **more})
        with pytest.raises(CredentialsEnded, match="no credentials found"):
            store.put(KEY, memoryview(b"data"))
        store.close()


def test_a_process_that_fails_is_told_as_with_s3fs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrange(home, monkeypatch, "[profile p]\ncredential_process = false\n", {})
    messages = []
    for more in ({}, {"requester_pays": False}):
        store = open_store("s3://bucket", {**ENDPOINT, "profile": "p", **more})
        with pytest.raises(StorageError) as caught:
            store.put(KEY, memoryview(b"data"))
        messages.append(str(caught.value))
        store.close()
    assert messages[0] == messages[1]


def test_a_program_that_hangs_is_waited_for_no_longer_than_anything_else(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_LONGEST_SECONDS", 0.3)
    arrange(home, monkeypatch, f"[profile p]\ncredential_process = {home}/hang\n", {})
    (home / "hang").write_text(f"#!/bin/sh\necho $$ > {home}/pid\nexec sleep 60\n")
    (home / "hang").chmod(0o700)
    store = open_store("s3://bucket", {**ENDPOINT, "profile": "p"})
    try:
        with pytest.raises(CredentialsEnded, match=r"nothing came in 0 s"):
            store.put(KEY, memoryview(b"data"))
    finally:
        store.close()
        wait_until((home / "pid").exists)
        os.kill(int((home / "pid").read_text()), signal.SIGKILL)


def test_credentials_are_found_where_the_system_gives_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[str] = []
    within(30, lambda: done.append("found"))
    assert done == ["found"]
