"""The copy of the configuration that is stored with each backup: whoever may read the backup may read it."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fsspec_gp_plugin import keys
from fsspec_gp_plugin.config.stored_copy import stored_copy

SECRET = "Sup3rSecret/Value+0123=="
PEM = f"-----BEGIN PRIVATE KEY-----\\n{SECRET}\\n-----END PRIVATE KEY-----"


def stored(options: object, **more: str) -> str:
    """What is stored of storage options, and of other options beside them."""
    text = options if isinstance(options, str) else yaml.safe_dump(options)
    config = {"executablepath": "/opt/bin/x", "options": {"url": "s3://bucket/here", "storage_options": text, **more}}
    return stored_copy(yaml.safe_dump(config))


def storage_options(copy: str) -> object:
    return yaml.safe_load(yaml.safe_load(copy)["options"]["storage_options"])


def test_what_may_be_shown_is_shown() -> None:
    options = {
        "endpoint_url": "https://me:pw@minio.example.org:9000/x?sig=1",
        "key": SECRET,
        "client_kwargs": {"region_name": "eu-central-1", "verify": False},
        "config_kwargs": {"s3": {"addressing_style": "path"}},
        "account_name": "backups1",
    }
    copy = stored(options, timeout="90s", checksum="crc32c", replica_url="sftp://me:pw@nas/backups")
    assert storage_options(copy) == {
        "endpoint_url": "https://***@minio.example.org:9000?***",
        "key": "***",
        "client_kwargs": {"region_name": "eu-central-1", "verify": "***"},
        "config_kwargs": {"s3": {"addressing_style": "path"}},
        "account_name": "backups1",
    }
    whole = yaml.safe_load(copy)
    assert whole["executablepath"] == "/opt/bin/x"
    assert whole["options"]["url"] == "s3://bucket/here"
    assert (whole["options"]["timeout"], whole["options"]["checksum"]) == ("90s", "crc32c")
    assert whole["options"]["replica_url"] == "sftp://***@nas/backups"


# Each was stored in clear when names of secrets were listed, and not those of what is harmless.
SHAPES = [
    *({name: SECRET} for name in (
        "X-Api-Key", "api-key", "account-key", "access-key", "x-ms-encryption-key", "creds", "oauth", "httpauth",
        "encryption_key", "shared_key", "key", "bearer", "refresh", "passcode", "pin", "userpwd", "acct", "keytab",
        "profile", "hostname", "client_id", "anything", "timeout", "region_name", "addressing_style", "project",
        "account_name", "url", "cluster", "state_directory", SECRET,
    )),
    *({name: "0123456789abcdef"} for name in ("cluster", "state_directory", "timeout", "url", "region_name")),
    {"login": f"user:{SECRET}"},
    {"options": json.dumps({"token": SECRET})},
    {"pem": base64.b64encode(PEM.encode()).decode()},
    {"token": {"private_key": PEM, "client_email": "a@b.c"}},
    {"headers": [f"Authorization: Basic {SECRET}", {"x": SECRET}]},
    {"endpoint_url": f"https://me:{quote(SECRET, safe='')}@host.test/x"},
    {"endpoint_url": f"https://host.test/{SECRET}?sig={SECRET}#{SECRET}"},
    {"client_kwargs": {"headers": {SECRET: "x"}}},
    {"password": SECRET, "region_name": SECRET.lower(), "project": "x"},
    f"key: {SECRET}\n: [",
    f"- {SECRET}",
    f"{{\"key\":\t\"{SECRET}\"}}",
    SECRET,
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_no_secret_is_stored_whatever_it_is_called(number: int) -> None:
    copy = stored(SHAPES[number])
    for form in (
        SECRET,
        "0123456789abcdef",
        quote(SECRET, safe=""),
        base64.b64encode(PEM.encode()).decode(),
        SECRET.lower(),
    ):
        assert form not in copy
    assert yaml.safe_load(copy)["options"]["url"] == "s3://bucket/here"


@pytest.mark.parametrize(
    "name", ["cluster", "pgport", "logger_verbosity", "fsspec_gp_plugin", "aws_access_key_id", "x"]
)
def test_no_secret_is_stored_under_another_option(name: str) -> None:
    assert SECRET not in stored({}, **{name: SECRET})


def test_a_secret_that_is_the_value_of_another_option_is_not_stored_by_it() -> None:
    copy = stored({"password": "bucket", "username": "here", "client_kwargs": {"region_name": "bucket"}})
    assert "bucket" not in copy
    copy = stored({"username": "production", "project": "production"})
    assert "production" not in copy


def test_a_log_in_is_taken_off_each_url_and_a_container_stays() -> None:
    for url, shown in (
        ("https://token:secret@host/x", "https://***@host/x"),
        ("https://token@host/x?a=b", "https://***@host/x?***"),
        (f"https://token:{SECRET}@host/x", "***"),
        ("abfs://data@account/backups", "abfs://data@account/backups"),
        ("abfs://data:x@account/backups", "abfs://***@account/backups"),
        ("file:///mnt/backups", "file:///mnt/backups"),
    ):
        copy = stored_copy(yaml.safe_dump({"options": {"url": url, "replica_url": url}}))
        assert yaml.safe_load(copy)["options"] == {"url": shown, "replica_url": shown}


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_any_text_has_a_copy(text: str) -> None:
    assert isinstance(stored_copy(text), str)


@pytest.mark.parametrize(
    "key",
    [
        "backups/20260101/20260101120000/gpbackup_20260101120000_plugin_config.yaml",
        "data/gpseg-1/backups/20260101/20260101120000/gpbackup_20260101120000_plugin_config.yaml",
        "gpbackup_20260101120000_plugin_config.yaml",
    ],
)
def test_the_copy_is_known_wherever_it_lies(key: str) -> None:
    assert keys.is_plugin_config(key)
    assert not keys.is_plugin_config(key + ".old")
