"""Proxies and names of hosts, as storage_options and the environment say them. The bytes of parts go the same way as
all else, whichever way they are signed; and no message holds a password or a signature.
"""

from __future__ import annotations

import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.config.storage_options import load_storage_options
from fsspec_gp_plugin.errors import ConfigError, StorageError
from fsspec_gp_plugin.redaction import scrub
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from tests.contract.test_s3_options import LARGE, NAMES, SIGNERS, SMALL, heads, opened, round_trip, signer
from tests.servers import forward_proxy, tls_front
from tests.servers.minio import DOMAIN
from tests.servers.ports import closed_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.forward_proxy import ForwardProxy
    from tests.servers.minio import Minio

__all__ = ["signer"]  # the fixture
pytestmark = pytest.mark.usefixtures("minio", "minio_tls", "quiet_environment")

LOGIN = "someone:pass-word"
PASSWORD = "pass-word"


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest) -> Minio:
    found: Minio = request.getfixturevalue("minio" if request.param == "http" else "minio_tls")
    return found


@pytest.fixture
def proxy(server: Minio) -> Iterator[ForwardProxy]:
    """It leads to that server, whatever name it is asked for."""
    with forward_proxy.running(int(server.endpoint.rpartition(":")[2])) as proxy:
        yield proxy


def named(server: Minio) -> dict[str, Any]:
    """Options with a host name that only the proxy can lead anywhere."""
    return {**server.options, "endpoint_url": server.endpoint.replace("127.0.0.1", DOMAIN)}


def by_proxy(server: Minio, url: str, **config: Any) -> dict[str, Any]:
    return {**named(server), "config_kwargs": {"proxies": {"http": url, "https": url}, **config}}


def carried_all(proxy: ForwardProxy, server: Minio) -> None:
    """All bytes went through the proxy, those of parts and ranges too."""
    assert sum(seen.up for seen in proxy.seen) >= len(LARGE) + len(SMALL)
    assert sum(seen.down for seen in proxy.seen) >= len(LARGE) + len(SMALL)
    assert {seen.method == "CONNECT" for seen in proxy.seen} == {server.certificates is not None}


@pytest.mark.parametrize("login", ["", "some%40one:p%2Fss%20w%3Ard"], ids=["open", "login"])
def test_a_proxy_of_the_options_carries_all(server: Minio, proxy: ForwardProxy, signer: str, login: str) -> None:
    from urllib.parse import unquote

    proxy.login = unquote(login)
    with opened(server, by_proxy(server, proxy.url(login)), signer) as (store, prefix):
        round_trip(store)
    carried_all(proxy, server)
    assert len(heads(server, prefix)) == len(NAMES)


def test_a_proxy_of_the_environment_carries_all(
    server: Minio, proxy: ForwardProxy, signer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In capitals or not."""
    proxy.login = LOGIN
    for name in ("HTTP_PROXY", "https_proxy"):
        monkeypatch.setenv(name, proxy.url(LOGIN))
    with opened(server, named(server), signer) as (store, _):
        round_trip(store)
    carried_all(proxy, server)


def test_no_proxy_is_honoured(server: Minio, proxy: ForwardProxy, signer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, proxy.url())
    with opened(server, {**server.options, "config_kwargs": {"proxies": {}}}, signer) as (store, _):
        round_trip(store)
    monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
    with opened(server, server.options, signer) as (store, _):
        round_trip(store)
    assert proxy.seen == []


def test_buckets_may_be_hosts(server: Minio, proxy: ForwardProxy) -> None:
    options = by_proxy(server, proxy.url(), s3={"addressing_style": "virtual"})
    with opened(server, options) as (store, prefix):
        round_trip(store)
    carried_all(proxy, server)
    port = server.endpoint.rpartition(":")[2]
    assert {seen.host for seen in proxy.seen} == {f"{server.bucket}.{DOMAIN}:{port}"}
    assert len(heads(server, prefix)) == len(NAMES)


def test_a_store_at_an_address_of_its_own_has_buckets_in_the_path(
    server: Minio, proxy: ForwardProxy, signer: str
) -> None:
    for style in ("path", "auto"):
        with opened(server, by_proxy(server, proxy.url(), s3={"addressing_style": style}), signer) as (store, _):
            store.put("small", memoryview(SMALL))
    assert {seen.host for seen in proxy.seen} == {f"{DOMAIN}:{server.endpoint.rpartition(':')[2]}"}


def attempts(store: Any) -> list[str]:
    """What is told when each kind of request fails: the error's line, and all that the log would get, scrubbed."""
    writer = store.begin("large")
    told = []
    for request in (
        lambda: store.put("small", memoryview(SMALL)),
        lambda: store.fetch("small", memoryview(bytearray(10))),
        lambda: writer.write(1, memoryview(LARGE)),
        lambda: list(store.find("")),
    ):
        with pytest.raises(StorageError) as caught:
            request()
        told.append(f"{type(caught.value).__name__}: {caught.value}")
        trace = scrub("".join(traceback.format_exception(caught.value)))
        for text in (told[-1], trace):
            assert PASSWORD not in text, text
            assert "minio-test-password" not in text, text
            assert not any(word.startswith("X-Amz-Signature=") and "***" not in word for word in text.split("&")), text
    return told


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_proxy_that_wants_another_password_is_told(
    server: Minio, proxy: ForwardProxy, signer: str, scheme: str
) -> None:
    proxy.login = "someone:another"
    url = proxy.url(LOGIN).replace("http://", scheme)
    store = open_store(
        f"s3://{server.bucket}/x", loaded({**by_proxy(server, url), **SIGNERS[signer]}), policy=RetryPolicy(outage=300)
    )
    since = time.monotonic()
    for line in attempts(store):
        assert line.startswith("AccessDenied: "), line
        assert "the proxy" in line, line
    assert time.monotonic() - since < 10
    store.close()


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_proxy_that_is_not_there_may_come_back(server: Minio, signer: str, scheme: str) -> None:
    url = f"{scheme}{LOGIN}@127.0.0.1:{closed_port()}"
    with opened(server, loaded(by_proxy(server, url)), signer) as (store, _):
        for line in attempts(store):
            assert line.startswith("Unreachable: "), line
            assert "proxy" in line, line


def test_a_proxy_that_fails_for_now_is_tried_again(server: Minio, proxy: ForwardProxy, signer: str) -> None:
    proxy.fails_with = 503
    with opened(server, by_proxy(server, proxy.url(LOGIN)), signer) as (store, _):
        for line in attempts(store):
            assert line.startswith("Unreachable: "), line


@pytest.mark.parametrize(
    "url",
    [
        f"http://someone:{PASSWORD}/x@127.0.0.1:1",
        f"http://someone:{PASSWORD}@127.0.0.1:port",
        f"socks5://someone:{PASSWORD}@127.0.0.1:1",
    ],
)
@pytest.mark.parametrize("where", ["option", "variable"])
def test_a_proxy_that_nobody_understands_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str, where: str
) -> None:
    options: dict[str, Any] = {"endpoint_url": "https://127.0.0.1:9", "key": "someone", "secret": "something"}
    if where == "option":
        options["config_kwargs"] = {"proxies": {"https": url}}
    else:
        monkeypatch.setenv("https_proxy", url)
    with pytest.raises(ConfigError, match="the proxy's URL can't be understood") as caught:
        open_store("s3://bucket", options)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_a_proxy_that_speaks_tls_is_left_to_s3fs(server: Minio, minio_tls: Minio, proxy: ForwardProxy) -> None:
    if server is minio_tls and sys.version_info < (3, 11):
        pytest.skip("does not apply: this Python's event loop can't put TLS into TLS")
    assert minio_tls.certificates is not None
    trust = {"client_kwargs": {"verify": str(minio_tls.certificates.authority)}}
    with (
        tls_front.running(proxy.server_address[1], minio_tls.certificates) as url,
        opened(server, {**by_proxy(server, url), **trust}) as (store, _),
    ):
        round_trip(store, presigned=False)
    carried_all(proxy, server)


def loaded(options: dict[str, Any]) -> dict[str, Any]:
    """As the configuration gives them: its secrets are known to what masks them."""
    import yaml

    return load_storage_options(yaml.safe_dump(options), None, {})


def test_a_store_that_is_not_there_is_told_without_a_signature(signer: str) -> None:
    options = {"endpoint_url": f"http://127.0.0.1:{closed_port()}", "key": "someone", "secret": "minio-test-password"}
    store = open_store("s3://bucket", {**options, **SIGNERS[signer]})
    for line in attempts(store):
        assert line.startswith("Unreachable: "), line
        assert "X-Amz" not in line, line
    store.close()
