"""What is masked, and what is not."""

from __future__ import annotations

from urllib.parse import quote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fsspec_gp_plugin.config.redacted import redacted
from fsspec_gp_plugin.redaction import register_secrets, scrub

SECRET_NAMES = """secret aws_secret_access_key token sas_token account_key connection_string password client_secret
    passphrase private_key aws_session_token SSECustomerKey api_key credential authorization pkey"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_secret_options_are_known_by_their_names(name: str) -> None:
    register_secrets({"nested": [{name: "the+secret/value"}]})
    assert scrub("said the+secret/value, and the%2Bsecret%2Fvalue") == "said ***, and ***"


@pytest.mark.parametrize("name", ["endpoint_url", "region_name", "profile", "use_ssl", "anon", "token_uri", "username"])
def test_other_options_are_shown(name: str) -> None:
    register_secrets({name: "some-value"})
    assert scrub("some-value") == "some-value"


def test_the_key_beside_a_secret_is_masked_too() -> None:
    register_secrets({"key": "AKIAsomething", "secret": "abcdefgh"})
    assert scrub("key AKIAsomething") == "key ***"


def test_a_secret_may_begin_with_a_slash() -> None:
    register_secrets({"secret": "/bPxRfiCYEXAMPLEKEY"})
    assert scrub("sent /bPxRfiCYEXAMPLEKEY") == "sent ***"


def test_ways_to_find_a_credential_are_not_secrets() -> None:
    register_secrets({"token": "google_default"})
    register_secrets({"token": "/etc/passwd"})  # any file that is there
    assert scrub("google_default in /etc/passwd") == "google_default in /etc/passwd"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sftp://me:pass@host/dir", "sftp://me:***@host/dir"),
        ("https://h/b?a=1&X-Amz-Signature=abc123&b=2", "https://h/b?a=1&X-Amz-Signature=***&b=2"),
        ("https://h/c?sv=2024&sig=aB%2Bc", "https://h/c?sv=2024&sig=***"),
        ("Authorization: AWS4-HMAC-SHA256 Credential=x, Signature=y", "Authorization: ***"),
        ("AccountName=a;AccountKey=abc==;Suffix=core", "AccountName=a;AccountKey=***;Suffix=core"),
        ("x -----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- y", "x *** y"),
        ("http://host:9000/bucket", "http://host:9000/bucket"),
    ],
)
def test_secrets_that_were_never_registered_are_known_by_their_looks(text: str, expected: str) -> None:
    assert scrub(text) == expected


SECRET = st.text("abcdefghijklmnopqrstuvwxyz0123456789/+=&%", min_size=12, max_size=40).map(lambda text: f"S{text}S")
HIDING = st.sampled_from(SECRET_NAMES.split())


@given(SECRET, HIDING, st.sampled_from(["plain", "nested", "listed", "url", "proxy", "sas", "header", "signed"]))
def test_no_secret_is_left_in_a_configuration_that_is_stored(secret: str, name: str, where: str) -> None:
    """Whoever may read the backup reads that copy."""
    options: object = {
        "plain": {name: secret},
        "nested": {"client_kwargs": {"x": {name.upper(): [secret]}}},
        "listed": {"x": [{name: {"y": secret}}]},
        "url": {"endpoint_url": f"https://me:{quote(secret, safe='')}@host.test/x"},
        "proxy": {"proxies": f"me:{quote(secret, safe='')}@host.test:80"},
        "sas": {"x": f"AccountName=n;AccountKey={secret.replace(';', '')};End=1"},
        "header": {"x": f"Authorization: Bearer {secret}"},
        "signed": {"x": f"https://host.test/?X-Amz-Signature={quote(secret, safe='')}&x=1"},
    }[where]
    config = {
        "executablepath": "/x",
        "options": {"url": "s3://b", "storage_options": yaml.safe_dump(options), name: secret},
    }
    text = redacted(yaml.safe_dump(config))
    assert yaml.safe_load(text)["options"]["url"] == "s3://b"
    for form in (secret, quote(secret, safe="")):
        assert form not in text


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_any_text_can_be_redacted(text: str) -> None:
    assert isinstance(redacted(text), str)
    assert isinstance(scrub(text), str)
