"""Every kind of credential that adlfs knows, on a real server, with an object of one request and one of two blocks."""

from __future__ import annotations

import itertools
import os
import socket
import time
from base64 import urlsafe_b64encode
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from json import dumps
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import AccessDenied, ConfigError, CredentialsEnded, StorageError, Unreachable
from fsspec_gp_plugin.redaction import register_secrets, scrub
from fsspec_gp_plugin.storage import credential_renewal
from fsspec_gp_plugin.storage.azure.signing import Bearer, Plain, SharedKey
from fsspec_gp_plugin.storage.open import open_store
from tests.contract.stores import content
from tests.servers.azurite import ACCOUNT, KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.azurite import Azurite

pytestmark = pytest.mark.usefixtures("quiet_environment")

_unique = itertools.count()
SMALL, LARGE = os.urandom(1000), os.urandom(200_000)
# An option that only adlfs knows, though it changes nothing.
BY_ADLFS = {"location_mode": "primary"}


@contextmanager
def opened(server: Azurite, options: dict[str, Any], **how: Any) -> Iterator[tuple[Any, str]]:
    """A store of these options alone, and the prefix that it is below."""
    prefix = f"credentials/{next(_unique)}"
    store: Any = open_store(f"{server.url}/{prefix}", options, **how)
    try:
        yield store, prefix
    finally:
        store.close()


def round_trip(server: Azurite, store: Any, prefix: str) -> None:
    """Write, look, read, list, delete."""
    assert store.put("small", memoryview(SMALL)).size == len(SMALL)
    writer = store.begin("large & odd #1 100% +é=~'.txt")
    writer.write(2, memoryview(LARGE)[150_000:])
    writer.write(1, memoryview(LARGE)[:150_000])
    info = writer.complete(len(LARGE))
    assert info.size == len(LARGE)
    with server.client() as client:
        assert client.download_blob(f"{prefix}/small").readall() == SMALL
        assert client.download_blob(f"{prefix}/{info.key}").readall() == LARGE
    assert content(store, info.key) == LARGE
    assert sorted(found.key for found in store.find("")) == sorted([info.key, "small"])
    store.delete([info.key, "small"])
    assert list(store.find("")) == []


def account(server: Azurite, **others: Any) -> dict[str, Any]:
    host = server.endpoint.partition("://")[2]
    return {"account_name": ACCOUNT, "account_host": f"{host}/{ACCOUNT}", **others}


def signature(server: Azurite, permissions: str = "rwdlc", **others: Any) -> str:
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    expiry = datetime.now(timezone.utc) + timedelta(hours=1)
    details: dict[str, Any] = {
        "account_key": KEY, "expiry": expiry, "permission": ContainerSasPermissions.from_string(permissions), **others,
    }  # fmt: skip
    signed: str = generate_container_sas(ACCOUNT, server.container, **details)
    return signed


def token(**claims: Any) -> str:
    """As Microsoft Entra gives it, but for who signed it."""
    now = int(time.time())
    usual = {
        "aud": "https://storage.azure.com",
        "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
        "nbf": now - 60,
        "iat": now - 60,
        "exp": now + 3600,
        "oid": "23657296-5cd5-45b0-a809-d972a7f4dfe1",
        "tid": "dd0d0df1-06c3-436c-8034-4b9a153097ce",
    }
    parts = ({"alg": "RS256", "typ": "JWT"}, {**usual, **claims})
    words = [urlsafe_b64encode(dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*words, "c2lnbmF0dXJl"])


class Credential:
    """An async credential, as those of azure.identity.aio."""

    def __init__(self, *tokens: tuple[str, float] | Exception) -> None:
        """Each token with the seconds for which it is good; the last one for ever."""
        self.tokens = list(tokens)
        self.scopes: list[str] = []
        self.closed = 0

    async def get_token(self, *scopes: str, **_: Any) -> Any:
        from azure.core.credentials import AccessToken

        self.scopes += scopes
        found = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        if isinstance(found, Exception):
            raise found
        return AccessToken(found[0], int(time.time() + found[1]))

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def trusted(azure_tls: Azurite, monkeypatch: pytest.MonkeyPatch) -> Azurite:
    assert azure_tls.certificates is not None
    monkeypatch.setenv("SSL_CERT_FILE", str(azure_tls.certificates.authority))
    return azure_tls


@pytest.mark.parametrize("others", [{}, BY_ADLFS])
def test_a_connection_string_with_the_accounts_key(azure: Azurite, others: dict[str, str]) -> None:
    with opened(azure, {**azure.options, **others}) as (store, prefix):
        round_trip(azure, store, prefix)
        assert isinstance(store.blobs._account.authorizer, SharedKey)


@pytest.mark.parametrize("others", [{}, BY_ADLFS])
def test_a_connection_string_with_a_signature(azure: Azurite, others: dict[str, str]) -> None:
    words = f"BlobEndpoint={azure.endpoint}/{ACCOUNT};SharedAccessSignature={signature(azure)}"
    with opened(azure, {"connection_string": words, **others}) as (store, prefix):
        round_trip(azure, store, prefix)
        assert isinstance(store.blobs._account.authorizer, Plain)


@pytest.mark.parametrize("others", [{}, BY_ADLFS])
def test_an_account_and_its_key_over_tls(trusted: Azurite, others: dict[str, str]) -> None:
    with opened(trusted, account(trusted, account_key=KEY, **others)) as (store, prefix):
        round_trip(trusted, store, prefix)


@pytest.mark.parametrize("others", [{}, BY_ADLFS])
def test_an_account_and_a_signature_over_tls(trusted: Azurite, others: dict[str, str]) -> None:
    for begins in ("", "?"):
        with opened(trusted, account(trusted, sas_token=begins + signature(trusted), **others)) as (store, prefix):
            round_trip(trusted, store, prefix)


def test_variables_of_the_environment_count_as_for_adlfs(trusted: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    with opened(trusted, {"account_host": account(trusted)["account_host"]}) as (store, prefix):
        round_trip(trusted, store, prefix)


def test_what_fsspec_is_configured_with_counts(azure: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec.config

    (tmp_path / ".config" / "fsspec").mkdir(parents=True)
    monkeypatch.setitem(fsspec.config.conf, "abfs", azure.options)
    with opened(azure, {}) as (store, prefix):
        round_trip(azure, store, prefix)


def test_a_token_of_an_identity_over_tls(trusted: Azurite) -> None:
    credential = Credential((token(), 3600))
    with opened(trusted, account(trusted, credential=credential)) as (store, prefix):
        round_trip(trusted, store, prefix)
        assert isinstance(store.blobs._account.authorizer, Bearer)
    assert credential.scopes == ["https://storage.azure.com/.default"]
    assert credential.closed == 1


def test_a_token_is_renewed_before_its_end_and_used_until_then(
    trusted: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credential_renewal, "SECONDS_BETWEEN_TRIES", 0.0)
    trouble = RuntimeError("no answer")
    credential = Credential((token(), 200), trouble, (token(), 20), trouble, (token(), 3600))
    with opened(trusted, account(trusted, credential=credential)) as (store, _):
        store.put("first", memoryview(SMALL))
        store.put("the renewal fails, and the token is still good", memoryview(SMALL))
        store.put("renewed, for 20 seconds", memoryview(SMALL))
        with pytest.raises(CredentialsEnded, match=r"can't write .*/small: no token can be had at the moment"):
            store.put("small", memoryview(SMALL))
        store.put("small", memoryview(SMALL))
    assert len(credential.scopes) == 5


def test_nobody_in_particular_reads_what_everybody_may(trusted: Azurite) -> None:
    from azure.storage.blob import PublicAccess

    with trusted.client() as client:
        client.set_container_access_policy({}, public_access=PublicAccess.CONTAINER)
        client.upload_blob("everybodys/object", LARGE)
        try:
            options = account(trusted, anon=True)
            store = open_store(f"{trusted.url}/everybodys", options)
            assert content(store, "object") == LARGE
            assert [info.key for info in store.find("")] == ["object"]
            with pytest.raises(StorageError):
                store.put("small", memoryview(SMALL))
            store.close()
        finally:
            client.set_container_access_policy({}, public_access=None)


def test_a_signature_that_may_only_write_writes(azure: Azurite) -> None:
    """What can't be read can't be compared; each block was acknowledged."""
    words = f"BlobEndpoint={azure.endpoint}/{ACCOUNT};SharedAccessSignature={signature(azure, 'wc')}"
    with opened(azure, {"connection_string": words}) as (store, prefix):
        writer = store.begin("large")
        writer.write(1, memoryview(LARGE))
        assert writer.complete(len(LARGE)).size == len(LARGE)
        with azure.client() as client:
            assert client.download_blob(f"{prefix}/large").readall() == LARGE
        with pytest.raises(AccessDenied):
            content(store, "large")


def test_a_wrong_key_is_told_in_one_line_and_without_the_key(azure: Azurite) -> None:
    from tests.servers.azurite import options

    wrong = options(azure.endpoint, key=KEY[:-4] + "AA==")
    register_secrets(wrong)
    for others in ({}, BY_ADLFS):
        with opened(azure, {**wrong, **others}) as (store, _), pytest.raises(AccessDenied) as caught:
            store.put("small", memoryview(SMALL))
        assert KEY[:40] not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert scrub(wrong["connection_string"]) == "***"


@pytest.mark.parametrize(("how", "kind"), [("of another key", AccessDenied), ("expired", CredentialsEnded)])
def test_a_wrong_signature_is_told_in_one_line_and_not_shown(
    azure: Azurite, how: str, kind: type[StorageError]
) -> None:
    past = datetime.now(timezone.utc) - timedelta(minutes=1)
    signed = signature(azure, **({"expiry": past} if how == "expired" else {"account_key": "d3Jvbmc="}))
    words = f"BlobEndpoint={azure.endpoint}/{ACCOUNT};SharedAccessSignature={signed}"
    with opened(azure, {"connection_string": words}) as (store, _), pytest.raises(kind) as caught:
        store.put("small", memoryview(SMALL))
    assert "sig=" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_container_is_told_as_such(azure: Azurite) -> None:
    store = open_store("abfs://not-there/prefix", azure.options)
    actions: list[Any] = [
        lambda: store.put("small", memoryview(SMALL)),
        lambda: store.begin("large").write(1, memoryview(SMALL)),
        lambda: store.stat("small"),
        lambda: store.fetch("small", memoryview(bytearray(10))),
        lambda: list(store.find("")),
    ]
    for action in actions:
        with pytest.raises(StorageError, match="the container does not exist; create it or correct `url`") as caught:
            action()
        assert type(caught.value) is StorageError
    store.close()


def test_a_host_that_is_not_there_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)  # a resolver may answer late, or not at all
    store = open_store("abfs://container", {"account_name": "nobody", "account_key": KEY, "account_host": "x.invalid"})
    with pytest.raises(Unreachable, match=r"can't write abfs://container/small: .*x\.invalid"):
        store.put("small", memoryview(SMALL))
    store.close()


def test_an_untrusted_certificate_is_told_as_such(azure_tls: Azurite) -> None:
    with opened(azure_tls, account(azure_tls, account_key=KEY)) as (store, _):
        with pytest.raises(StorageError, match="certificate is not trusted") as caught:
            store.put("small", memoryview(SMALL))
        assert not isinstance(caught.value, Unreachable)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "misspelt": ("abfs://container", {"acount_key": KEY, "account_name": "a"}, "'acount_key'; did you mean 'account_"),
    "foreign": ("abfs://container", {"endpoint_url": "x", "account_name": "a"}, "knows no option 'endpoint_url'"),
    "number": ("abfs://container", {"account_name": 1234, "account_key": KEY}, "'account_name' is not text"),
    "not base64": ("abfs://container", {"account_name": "a", "account_key": "no!"}, "is not base64"),
    "not base64, by adlfs": (
        "abfs://container", {"account_name": "a", "account_key": "no!", **BY_ADLFS}, "is not base64",
    ),
    "no account": ("abfs://container", {}, "no storage account is named"),
    "no container": ("abfs://", {"account_name": "a", "account_key": KEY}, "names no container"),
    "a container's odd name": ("abfs://My_Box/x", {"account_name": "a", "account_key": KEY}, "names no container"),
    "two accounts": (
        "abfss://box1@one.dfs.core.windows.net/x", {"account_name": "two", "account_key": KEY}, "names 'one'",
    ),
    "a host with a scheme": (
        "abfs://container", {"account_name": "a", "account_key": KEY, "account_host": "https://a"}, "without https://",
    ),
    "another cloud": ("abfss://box@a.dfs.core.chinacloudapi.cn/x", {"account_key": KEY}, "set account_name and"),
    "half a principal": (
        "abfs://container", {"account_name": "a", "client_id": "x", "client_secret": "y"}, "belong together",
    ),
    "anon as text": ("abfs://container", {"account_name": "a", "anon": "yes"}, "'anon' must be true or false"),
    "malformed string": ("abfs://container", {"connection_string": "nothing"}, "onnection"),
    "a version in the URL": ("abfs://container/x?versionid=1", {"account_name": "a"}, "neither"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_options_that_cannot_work_are_refused(case: str) -> None:
    url, options, words = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        open_store(url, options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


URLS = {
    "abfs://box": ("https://a.blob.core.windows.net", "box", ""),
    "az://box/some/where/": ("https://a.blob.core.windows.net", "box", "some/where/"),
    "abfss://box@a.dfs.core.windows.net/some": ("https://a.blob.core.windows.net", "box", "some/"),
    "abfs://a.dfs.core.windows.net/box/some": ("https://a.blob.core.windows.net", "box", "some/"),
}


@pytest.mark.parametrize("others", [{}, BY_ADLFS])
@pytest.mark.parametrize("url", URLS)
def test_each_form_of_url_leads_to_the_same_place(url: str, others: dict[str, str]) -> None:
    options = {"account_key": KEY, **({} if "core.windows.net" in url else {"account_name": "a"}), **others}
    store: Any = open_store(url, options)
    assert (store.blobs._account.endpoint, store.blobs.container, store._prefix) == URLS[url]
    store.close()
