"""What is masked, and what is not."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsspec_gp_plugin.redaction import in_one_line, is_secret_key, register, register_secrets, scrub

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


@pytest.mark.parametrize(
    "name",
    ["X-Api-Key", "account-key", "x-ms-encryption-key", "creds", "oauth", "httpauth", "encryption_key", "shared_key",
     "sort-key", "bearer", "refresh", "passcode", "pin", "userpwd", "acct", "login", "keytab", "Api Key"],
)  # fmt: skip
def test_names_of_secrets_are_known_however_they_are_spelled(name: str) -> None:
    assert is_secret_key(name)


@pytest.mark.parametrize("name", ["key_filename", "SSEKMSKeyId", "aws_access_key_id", "host_key", "public_key", "keys"])
def test_names_that_only_look_like_those_of_secrets_are_none(name: str) -> None:
    assert not is_secret_key(name)


@pytest.mark.parametrize("secret", ["s3cr3t/+Value", 'with "quotes" and \\', "two\nlines of it", "ключ-секрет-ключ"])
@pytest.mark.parametrize("before", ["", "u", "me", "me:", "user:"])
@pytest.mark.parametrize("after", ["", "!", "more"])
def test_a_secret_is_masked_in_each_form_in_which_it_is_told(secret: str, before: str, after: str) -> None:
    register(secret)
    whole = before + secret + after
    in_base64 = base64.b64encode(whole.encode()).decode()
    for quoted in (str, repr, json.dumps, lambda text: json.dumps(text, ensure_ascii=False), quote):
        shown = scrub(f"said {quoted(whole)}.")
        assert "***" in shown
        assert quoted(secret).strip("'\"") not in shown
    for form in (in_base64, in_base64.replace("+", "-").replace("/", "_")):
        shown = scrub(f"Basic {form}")
        assert "***" in shown
        # Of the characters at its ends, each holds six bits, some of them the neighbours'.
        assert len(shown.replace("***", "")) <= len("Basic ") + len(base64.b64encode((before + after).encode())) + 4


def test_each_line_of_a_long_secret_is_one() -> None:
    register("first line of a private thing\nsecond line of a private thing")
    assert scrub("| second line of a private thing |") == "| *** |"


def test_what_a_store_has_put_into_a_text_neither_makes_lines_nor_reaches_the_terminal() -> None:
    assert in_one_line("a\x1b[2Jb\nc\r\nd\u2028e\x9b") == "a?[2Jb c d e?"
    assert in_one_line(b"\xff".decode("utf-8", "surrogateescape")) == "\udcff"


HOSTILE = [
    "a.",
    "://:",
    "-----BEGIN ",
    "-----BEGIN A PRIVATE KEY-----",
    "?sig=",
    "x://a:b",
    "authorization ",
    "account",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_any_text_is_scrubbed_in_linear_time(piece: str) -> None:
    """At 32,000 characters one of these took 9 seconds, and could not be interrupted."""
    before = time.process_time()
    scrub(piece * (2_000_000 // len(piece)) + " " * 1_000_000)
    assert time.process_time() - before < 20  # 0.1 to 0.3 s


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_any_text_can_be_scrubbed(text: str) -> None:
    assert isinstance(scrub(text), str)
