"""TLS as storage_options and the environment say it, for the bytes of parts as for all else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import ConfigError, StorageError, Unreachable
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from tests.contract.test_s3_options import LARGE, NAMES, SIGNERS, SMALL, heads, opened, round_trip, signer
from tests.servers import certificates, tls_front

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.minio import Minio

__all__ = ["signer"]  # the fixture
pytestmark = pytest.mark.usefixtures("minio_tls", "quiet_environment")


def test_a_certificate_of_an_own_authority_is_trusted_by_the_option(minio_tls: Minio, signer: str) -> None:
    with opened(minio_tls, minio_tls.options, signer) as (store, prefix):
        round_trip(store)
    assert len(heads(minio_tls, prefix)) == len(NAMES)


def test_it_is_trusted_by_the_variable(minio_tls: Minio, signer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert minio_tls.certificates is not None
    monkeypatch.setenv("AWS_CA_BUNDLE", str(minio_tls.certificates.authority))
    with opened(minio_tls, {**minio_tls.options, "client_kwargs": {}}, signer) as (store, _):
        round_trip(store)


def test_without_verification_all_are(minio_tls: Minio, signer: str) -> None:
    with opened(minio_tls, {**minio_tls.options, "client_kwargs": {"verify": False}}, signer) as (store, _):
        round_trip(store)


@pytest.mark.parametrize("trusted", ["none", "another", "another name"])
def test_a_certificate_that_is_not_trusted_is_told_at_once(
    minio_tls: Minio, signer: str, trusted: str, tmp_path: Path
) -> None:
    options = {**minio_tls.options}
    if trusted == "none":
        options["client_kwargs"] = {}
    elif trusted == "another":
        options["client_kwargs"] = {"verify": str(certificates.make(tmp_path / "stranger").authority)}
    else:
        options["endpoint_url"] = minio_tls.endpoint.replace("127.0.0.1", "localhost")
    store = open_store(f"s3://{minio_tls.bucket}/x", {**options, **SIGNERS[signer]}, policy=RetryPolicy(outage=300))
    writer = store.begin("large")
    since = time.monotonic()
    for request in (
        lambda: store.put("small", memoryview(SMALL)),
        lambda: store.stat("small"),
        lambda: writer.write(1, memoryview(LARGE)),
        lambda: list(store.find("")),
        lambda: store.delete(["a", "b"]),
    ):
        with pytest.raises(StorageError, match="the store's certificate is not trusted") as caught:
            request()
        assert not isinstance(caught.value, Unreachable)
        assert "\n" not in str(caught.value)
    assert time.monotonic() - since < 10
    store.close()


@pytest.mark.parametrize("kind", ["missing", "other"])
@pytest.mark.parametrize("where", ["verify", "AWS_CA_BUNDLE", "client_cert"])
def test_a_file_that_holds_no_certificates_is_told_before_any_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, kind: str
) -> None:
    file = tmp_path / "some.pem"
    if kind == "other":
        file.write_text("nothing of that kind")
    options: dict[str, Any] = {"endpoint_url": "https://127.0.0.1:9", "key": "someone", "secret": "something"}
    if where == "verify":
        options["client_kwargs"] = {"verify": str(file)}
    elif where == "client_cert":
        options["config_kwargs"] = {"client_cert": [str(file), str(file)]}
    else:
        monkeypatch.setenv(where, str(file))
    with pytest.raises(ConfigError, match=rf"{where}.* {file} .*can't be used"):
        open_store("s3://bucket", options)


@pytest.mark.parametrize("form", ["pair", "one file"])
def test_a_client_shows_its_certificate(minio: Minio, tmp_path: Path, form: str) -> None:
    ours, theirs = certificates.make(tmp_path / "ours"), certificates.make(tmp_path / "theirs")
    both = tmp_path / "both.pem"
    both.write_bytes(ours.chain.read_bytes() + ours.key.read_bytes())
    options = dict(minio.options, client_kwargs={"verify": str(theirs.authority)})
    with tls_front.running(int(minio.endpoint.rpartition(":")[2]), theirs, clients=ours.authority) as endpoint:
        shown: Any = str(both) if form == "one file" else [str(ours.chain), str(ours.key)]
        config = {"client_cert": shown}
        with opened(minio, {**options, "endpoint_url": endpoint, "config_kwargs": config}) as (store, _):
            round_trip(store)
        with opened(minio, {**options, "endpoint_url": endpoint}) as (store, _), pytest.raises(StorageError):
            store.put("small", memoryview(SMALL))
