"""The S3 plugin's configurations, as its users have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.config.loading import Config, load_config
from fsspec_gp_plugin.errors import ConfigError
from fsspec_gp_plugin.redaction import scrub

if TYPE_CHECKING:
    from pathlib import Path

MB = 1 << 20
DOCUMENTED = """
  region: us-west-2
  endpoint: my.endpoint.test
  aws_access_key_id: AKIDEXAMPLE
  aws_secret_access_key: wJalrXUtnFEMI/EXAMPLE
  bucket: my_bucket_name
  folder: test/backup3
  encryption: "on"
  backup_max_concurrent_requests: 6
  backup_multipart_chunksize: 500MB
  restore_max_concurrent_requests: 6
  restore_multipart_chunksize: 500MB
  http_proxy: http://your_username:your_secure_password@proxy.example.com:8080
"""


def load(folder: Path, options: str) -> Config:
    path = folder / "s3_config.yaml"
    path.write_text(f"executablepath: /usr/local/greenplum-db/bin/gpbackup_s3_plugin\noptions:{options}")
    return load_config(str(path))


def test_the_configuration_of_its_documentation_works(tmp_path: Path) -> None:
    config = load(tmp_path, DOCUMENTED)
    proxy = "http://your_username:your_secure_password@proxy.example.com:8080"
    assert config.url == "s3://my_bucket_name/test/backup3"
    assert config.storage_options == {
        "key": "AKIDEXAMPLE",
        "secret": "wJalrXUtnFEMI/EXAMPLE",
        "endpoint_url": "https://my.endpoint.test",
        "client_kwargs": {"region_name": "us-west-2"},
        "config_kwargs": {"s3": {"addressing_style": "path"}, "proxies": {"http": proxy, "https": proxy}},
    }
    assert config.backup_max_concurrent_requests == 6
    # Its parts of 500 MB would need 3 GB.
    assert config.backup_multipart_chunksize == 128 * MB // 7
    assert scrub("wJalrXUtnFEMI/EXAMPLE your_secure_password") == "*** ***"
    assert "secret" in config.literal_secrets


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"endpoint": "h.test:9000", "encryption": "off"}, "http://h.test:9000"),
        ({"endpoint": "h.test:9000"}, "https://h.test:9000"),
        ({"endpoint": "http://h.test"}, "http://h.test"),
        ({"endpoint": "https://h.test/", "encryption": "off"}, "https://h.test"),
        ({"endpoint": "https://b.h.test", "remove_duplicate_bucket": "true"}, "https://h.test"),
        ({"endpoint": "b.h.test", "remove_duplicate_bucket": "on", "encryption": "off"}, "http://h.test"),
        ({"endpoint": "h.test", "remove_duplicate_bucket": "on"}, "https://h.test"),
        ({"region": "eu-central-1"}, None),
    ],
)
def test_endpoints_with_and_without_scheme_and_bucket(
    tmp_path: Path, options: dict[str, str], expected: str | None
) -> None:
    lines = "".join(f"\n  {name}: {value}" for name, value in {"bucket": "b", "folder": "/f/", **options}.items())
    config = load(tmp_path, lines)
    assert (config.url, config.storage_options.get("endpoint_url")) == ("s3://b/f", expected)
    assert ("key" in config.storage_options, "use_ssl" in config.storage_options) == (False, False)


def test_without_an_endpoint_encryption_off_is_plain_http(tmp_path: Path) -> None:
    config = load(tmp_path, "\n  bucket: b\n  folder: f\n  region: x\n  encryption: off")
    assert config.storage_options["use_ssl"] is False
    assert config.storage_options["client_kwargs"] == {"region_name": "x"}


def test_a_secret_is_taken_literally(tmp_path: Path) -> None:
    secret = "a${HOME}$${b}pa${word-1${2}$"
    lines = f"\n  bucket: b\n  region: x\n  aws_access_key_id: k\n  aws_secret_access_key: '{secret}'"
    assert load(tmp_path, lines).storage_options["secret"] == secret


def test_options_of_ours_may_stand_beside(tmp_path: Path) -> None:
    more = (
        "\n  bucket: b\n  checksum: off\n  memory_limit: 1GB\n  storage_options: '{client_kwargs: {verify: /ca.pem}}'"
    )
    config = load(tmp_path, more + "\n  region: x\n  backup_multipart_chunksize: 100MB")
    assert config.storage_options["client_kwargs"] == {"region_name": "x", "verify": "/ca.pem"}
    assert (config.checksum, config.backup_multipart_chunksize) == ("off", 100 * MB)


@pytest.mark.parametrize(
    "size", ["10 megabytes", "10MB", "10mb", "10485760", "10240 kilobytes", "10485760 bytes", "10M"]
)
def test_its_sizes_are_understood(tmp_path: Path, size: str) -> None:
    assert load(tmp_path, f"\n  bucket: b\n  backup_multipart_chunksize: {size}").backup_multipart_chunksize == 10 * MB


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bucket": "b/c"}, "option 'bucket'"),
        ({"bucket": "b", "aws_access_key_id": "k"}, "one is given without the other"),
        ({"bucket": "b", "encryption": "maybe"}, "option 'encryption': expected on or off"),
        ({"bucket": "b", "endpoint": "ftp://x"}, "option 'endpoint': expected a host"),
        ({"bucket": "b", "endpoint": "http://[x"}, "option 'endpoint': expected a host"),
        ({"folder": "f"}, "option 'folder' belongs to the S3 plugin's configuration"),
        ({"url": "s3://b", "bucket": "b"}, "option 'bucket' belongs to the S3 plugin's configuration"),
        ({"url": "s3://b", "region": "x"}, "option 'region' belongs to the S3 plugin's configuration"),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(tmp_path, "".join(f"\n  {name}: '{value}'" for name, value in options.items()))
