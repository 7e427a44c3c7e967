"""Stores that get other credentials, and what is told of an end that is near."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.backups.risks import risks_of_the_credentials
from fsspec_gp_plugin.config.loading import load_config
from fsspec_gp_plugin.errors import AccessDenied, CredentialsEnded
from fsspec_gp_plugin.protocol.supplies import Supplies
from fsspec_gp_plugin.storage import credential_renewal
from fsspec_gp_plugin.storage.open import open_store
from fsspec_gp_plugin.storage.retry import RetryingStore, with_retries
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from tests.contract.stores import content
from tests.contract.test_azure_credentials import signature
from tests.fakes import FakeStore
from tests.protocol.caller import write_config
from tests.servers.azurite import ACCOUNT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.azurite import Azurite

pytestmark = pytest.mark.usefixtures("quiet_environment")

FAR = {"endpoint_url": "http://127.0.0.1:9"}
KEYS = {"key": "k", "secret": "s"}
DATA = os.urandom(200_000)


def token(seconds: float) -> str:
    """A session token such as MinIO gives."""
    claims = json.dumps({"exp": time.time() + seconds}).encode()
    return f"head.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.signature"


def signed(seconds: float) -> str:
    return time.strftime("sv=2020-10-02&se=%Y-%m-%dT%H%%3A%M%%3A%SZ&sig=abc", time.gmtime(time.time() + seconds))


class Ended(FakeStore):
    """Its credentials have ended, for so many calls."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def stat(self, key: str) -> Any:
        if self.times:
            self.times -= 1
            raise CredentialsEnded("can't find it: the session token has expired")
        return super().stat(key)


def test_credentials_are_obtained_again_before_each_further_attempt() -> None:
    inner = Ended(0)
    inner.put("key", memoryview(b"data"))
    inner.times = 3
    renewals: list[int] = []
    store = RetryingStore(inner, RetryPolicy(60, first_pause=0.001, renew=lambda: renewals.append(inner.times)))
    assert store.stat("key").size == 4
    assert renewals == [2, 1, 0]


def test_where_no_others_can_come_it_is_told_at_once() -> None:
    store = RetryingStore(Ended(3), RetryPolicy(60))
    with pytest.raises(AccessDenied, match="has expired"):
        store.stat("key")


def test_credentials_that_have_ended_do_not_make_others_wait_less() -> None:
    """The target is not away, so nothing is noted about it."""

    class Outages:
        def limit(self, seconds: float) -> tuple[float, str]:
            return seconds, ""

        def spent(self, seconds: float) -> None:
            raise AssertionError(seconds)

        def reached(self) -> None:
            raise AssertionError

    outages: Any = Outages()
    store = RetryingStore(Ended(1000), RetryPolicy(0.2, first_pause=0.01, outages=outages, renew=lambda: None))
    with pytest.raises(CredentialsEnded, match="tried"):
        store.stat("key")


def s3(options: dict[str, Any]) -> Any:
    return open_store("s3://bucket/prefix", {**FAR, **options})


def test_what_was_replaced_is_closed_later_and_many_streams_renew_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store = s3(KEYS)
    first = store.requests
    made: list[Any] = []

    def make() -> Any:
        made.append(s3({**KEYS, "token": "t"}))
        return made[-1]

    threads = [threading.Thread(target=store.renew, args=(make,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert store.requests is made[0].requests
    closed: list[str] = []
    monkeypatch.setattr(first.sender, "close", lambda: closed.append("first"))
    monkeypatch.setattr(credential_renewal, "_SECONDS_BETWEEN", 0.0)
    store.renew(make)
    store.renew(make)
    assert closed == []
    monkeypatch.setattr(credential_renewal, "_LONGEST_REQUEST_SECONDS", 0.0)
    store.renew(make)
    assert closed == ["first"]
    store.close()


def test_a_store_of_another_kind_replaces_nothing() -> None:
    store = s3(KEYS)
    before = store.requests
    store.renew(lambda: FakeStore())
    assert store.requests is before
    store.close()


def test_a_file_that_is_half_written_or_of_another_place_renews_nothing(tmp_path: Path) -> None:
    file, config = tmp_path / "secrets.yaml", tmp_path / "plugin.yaml"
    file.write_text(json.dumps({**FAR, **KEYS}))
    file.chmod(0o600)
    write_config(config, "s3://bucket/prefix", storage_options_file=str(file))
    supplies = Supplies()
    loaded = load_config(str(config))
    store: Any = supplies.store(loaded)
    renew = supplies.renewal(loaded, store)
    assert renew is not None
    before = store.requests
    file.write_text("{")
    renew()
    assert store.requests is before
    file.write_text(json.dumps({**FAR, **KEYS}))
    write_config(config, "s3://bucket/elsewhere", storage_options_file=str(file))
    renew()
    assert store.requests is before
    write_config(config, "s3://bucket/prefix", storage_options_file=str(file))
    renew()
    assert store.requests is before  # as it says the same
    file.write_text(json.dumps({**FAR, **KEYS, "token": "t"}))
    renew()
    assert store.requests is not before
    store.close()


# Options of S3, variables, the text of ~/.aws/credentials, and whether others may come.
FOUND: dict[str, tuple[dict[str, Any], dict[str, str], str, bool]] = {
    "options": (KEYS, {}, "", False),
    "a profile": ({"profile": "p"}, {}, "[p]\naws_access_key_id = k\naws_secret_access_key = s\n", True),
    "the default profile": ({}, {}, "[default]\naws_access_key_id = k\naws_secret_access_key = s\n", True),
    "the environment": ({}, {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}, "", False),
    "nobody": ({"anon": True}, {}, "", False),
}


@pytest.mark.parametrize("kind", FOUND)
def test_whether_other_credentials_may_come(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options, variables, text, may_come = FOUND[kind]
    arrange(monkeypatch, tmp_path, variables, text)
    config = load_config(str(write_config(tmp_path / "plugin.yaml", "s3://bucket/prefix", {**FAR, **options})))
    supplies = Supplies()
    store = supplies.store(config)
    assert (supplies.renewal(config, store) is not None) == may_come
    store.close()


def arrange(monkeypatch: pytest.MonkeyPatch, home: Path, variables: dict[str, str], text: str) -> None:
    monkeypatch.setenv("HOME", str(home))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if text:
        (home / ".aws").mkdir()
        (home / ".aws/credentials").write_text(text)


def at(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


PROFILE = "[default]\naws_access_key_id = k\naws_secret_access_key = s\naws_session_token = t\n"


def ends() -> dict[str, tuple[str, dict[str, Any], dict[str, str], str, str]]:
    """URL, options, variables, ~/.aws/credentials, and what is to be warned of; by the time of the call."""
    return {
        "no end": ("s3://b/p", KEYS, {}, "", ""),
        "an opaque token": ("s3://b/p", {**KEYS, "token": "FwoGZXIvYXdzE"}, {}, "", ""),
        "a token": ("s3://b/p", {**KEYS, "token": token(7260)}, {}, "", "end in 2h.*; nothing renews them"),
        "a token of days": ("s3://b/p", {**KEYS, "token": token(90_000)}, {}, "", ""),
        "an old token": ("s3://b/p", {**KEYS, "token": token(-5)}, {}, "", "have ended; nothing renews them"),
        "variables": (
            "s3://b/p", {},
            {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_CREDENTIAL_EXPIRATION": at(3660)}, "",
            "end in 1h.*; nothing renews them",
        ),
        "a profile that is renewed": ("s3://b/p", {}, {}, f"{PROFILE}x_security_token_expires = {at(3000)}\n", ""),
        "a profile that is not": (
            "s3://b/p", {}, {}, f"{PROFILE}x_security_token_expires = {at(100)}\n",
            "end in 1m.*; whatever renews them has not done so yet",
        ),
        "a signature": (
            "abfs://data/p", {"account_name": "a", "sas_token": signed(3660)}, {}, "",
            "end in 1h.*; nothing renews them",
        ),
        "a signature of days": ("abfs://data/p", {"account_name": "a", "sas_token": signed(90_000)}, {}, "", ""),
        "a key of Azure": ("abfs://data/p", {"account_name": "a", "account_key": "c2VjcmV0"}, {}, "", ""),
        "nobody at Google": ("gs://b/p", {"token": "anon"}, {}, "", ""),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ends())
def test_an_end_that_is_near_is_warned_of(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, options, variables, text, words = ends()[kind]
    arrange(monkeypatch, tmp_path, variables, text)
    options = {**(FAR if url.startswith("s3") else {}), **options}
    config = load_config(str(write_config(tmp_path / "plugin.yaml", url, options)))
    store = Supplies().store(config)
    told = list(risks_of_the_credentials(store, config))
    store.close()
    assert len(told) == bool(words), told
    assert not words or re.fullmatch(f"the credentials {words}.*", told[0])


def test_a_signature_that_ends_within_a_stream_is_read_again(azure: Azurite, tmp_path: Path) -> None:
    """Another program writes the file that it is in."""
    file = tmp_path / "signature.yaml"

    def write(minutes: int) -> None:
        end = datetime.now(timezone.utc) + timedelta(minutes=minutes)
        words = f"BlobEndpoint={azure.endpoint}/{ACCOUNT};SharedAccessSignature={signature(azure, expiry=end)}"
        file.write_text(json.dumps({"connection_string": words}))
        file.chmod(0o600)

    write(60)
    url = f"{azure.url}/credentials/renewed"
    config = load_config(str(write_config(tmp_path / "plugin.yaml", url, storage_options_file=str(file))))
    supplies = Supplies()
    bare = supplies.store(config)
    renew = supplies.renewal(config, bare)
    assert renew is not None
    noted: list[str] = []

    def note(text: str) -> None:
        noted.append(text)
        write(60)

    store = with_retries(bare, RetryPolicy(60, note=note, renew=renew))
    writer = store.begin("large")
    writer.write(1, memoryview(DATA)[:150_000])
    write(-1)
    renew()
    writer.write(2, memoryview(DATA)[150_000:])
    writer.complete(len(DATA))
    assert content(store, "large") == DATA
    assert "the shared access signature has ended" in noted[0]
    store.close()


def test_an_identity_without_credentials_is_told(azure: Azurite) -> None:
    names = (
        "workload_identity", "developer_cli", "cli", "powershell", "managed_identity", "visual_studio_code",
        "shared_token_cache",
    )  # fmt: skip
    nobody = {f"exclude_{name}_credential": True for name in names}
    store = open_store(azure.url, {"account_name": "somebody", **nobody})
    with pytest.raises(CredentialsEnded, match=r"can't write abfs://.*DefaultAzureCredential") as caught:
        store.put("small", memoryview(DATA))
    assert "\n" not in str(caught.value)
    store.close()
