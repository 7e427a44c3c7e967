"""What an opened store tells of how its requests travel, whatever has said so: options, environment or a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.backups.risks import connection_risks
from fsspec_gp_plugin.storage.open import open_store

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {"key": "k", "secret": "s"}
AZURE = "AccountName=a;AccountKey=c2VjcmV0"
PLAIN, UNVERIFIED = "go to {host} without TLS", "nothing verifies that {host} is the right host"

# URL, options, environment, host, and what is to be warned of.
WAYS: dict[str, tuple[str, dict[str, Any], dict[str, str], str, str]] = {
    "s3": ("s3://b", {**KEYS, "endpoint_url": "https://far.test"}, {}, "far.test", ""),
    "s3-amazon": ("s3://b", KEYS, {"AWS_DEFAULT_REGION": "eu-west-1"}, "", ""),
    "s3-plain": ("s3://b", {**KEYS, "endpoint_url": "http://far.test:9000"}, {}, "far.test", PLAIN),
    "s3-capitals": ("s3://b", {**KEYS, "endpoint_url": "HTTP://far.test"}, {}, "far.test", PLAIN),
    "s3-client-kwargs": (
        "s3://b", {**KEYS, "client_kwargs": {"endpoint_url": "http://far.test"}}, {}, "far.test", PLAIN,
    ),
    "s3-environment": ("s3://b", KEYS, {"AWS_ENDPOINT_URL": "http://far.test"}, "far.test", PLAIN),
    "s3-use-ssl": (
        "s3://b", {**KEYS, "use_ssl": False}, {"AWS_DEFAULT_REGION": "eu-west-1"}, "s3.eu-west-1.amazonaws.com", PLAIN,
    ),
    "s3-unverified": (
        "s3://b", {**KEYS, "endpoint_url": "https://far.test", "client_kwargs": {"verify": False}}, {}, "far.test",
        UNVERIFIED,
    ),
    "s3-unverified-profile": (
        "s3://b", {"client_kwargs": {"verify": False}},
        {"AWS_ENDPOINT_URL": "https://far.test", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}, "far.test",
        UNVERIFIED,
    ),
    "gcs": ("gs://b", {"token": "anon"}, {}, "storage.googleapis.com", ""),
    "gcs-plain": ("gs://b", {"token": "anon", "endpoint_url": "http://far.test"}, {}, "far.test", PLAIN),
    "gcs-emulator": ("gs://b", {"token": "anon"}, {"STORAGE_EMULATOR_HOST": "far.test:4443"}, "far.test", PLAIN),
    "azure": ("abfs://data", {"account_name": "a", "account_key": "c2VjcmV0"}, {}, "a.blob.core.windows.net", ""),
    "azure-plain": (
        "abfs://data", {"connection_string": f"DefaultEndpointsProtocol=http;{AZURE};EndpointSuffix=far.test"}, {},
        "a.blob.far.test", PLAIN,
    ),
    "sftp": ("sftp://far.test/x", {}, {}, "far.test", ""),
    "sftp-any-key": ("sftp://far.test/x", {"host_key_policy": "auto_add"}, {}, "far.test", UNVERIFIED),
    "ftp": ("ftp://far.test/x", {}, {}, "far.test", PLAIN),
    "ftp-tls": ("ftp://far.test/x", {"tls": True}, {}, "far.test", ""),
    "ftp-unverified": ("ftp://far.test/x", {"tls": True, "tls_verify": False}, {}, "far.test", UNVERIFIED),
    "webdav": ("webdav://x", {"base_url": "https://far.test/dav"}, {}, "far.test", ""),
    "webdav-plain": ("webdav://x", {"base_url": "http://far.test/dav"}, {}, "far.test", PLAIN),
    "webdav-unverified": (
        "webdav://x", {"base_url": "https://far.test/dav", "verify": False}, {}, "far.test", UNVERIFIED,
    ),
    "webhdfs": ("webhdfs://far.test/x", {"use_https": True}, {}, "far.test", ""),
    "webhdfs-plain": ("webhdfs://far.test/x", {}, {}, "far.test", PLAIN),
    "webhdfs-unverified": (
        "webhdfs://far.test/x", {"use_https": True, "session_verify": False}, {}, "far.test", UNVERIFIED,
    ),
    "http": ("http://far.test/x", {}, {}, "far.test", PLAIN),
    "https": ("https://far.test/x", {}, {}, "far.test", ""),
    "here": ("s3://b", {**KEYS, "endpoint_url": "http://127.0.0.1:9000"}, {}, "127.0.0.1", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_a_store_tells_how_its_requests_travel(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url, options, environment, host, risk = WAYS[name]
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    store = open_store(url, options, timeout=2)
    try:
        way = store.transport_security()
        assert way is not None
        assert way.host == host or not host
        assert [text for text in connection_risks(store) if risk.format(host=host) not in text or not risk] == []
        assert len(list(connection_risks(store, "replica_url: "))) == (1 if risk else 0)
    finally:
        store.close()


def test_a_library_that_no_longer_tells_of_certificates_tells_of_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore without TLS asks for it, with each object that has no manifest."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    store: Any = open_store("s3://b", {**KEYS, "use_ssl": False, "requester_pays": False})
    monkeypatch.delattr(store.control.client()._endpoint.http_session, "_verify")
    assert (store.transport_security().host, store.transport_security().is_encrypted) == (
        "s3.eu-west-1.amazonaws.com",
        False,
    )
    store.close()


def test_where_nothing_travels_nothing_is_told(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}", {})
    assert list(connection_risks(store)) == []
