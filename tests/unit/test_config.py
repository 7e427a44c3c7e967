"""Configuration files: what they mean, beyond what the executable's tests show of what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fsspec_gp_plugin import redaction
from fsspec_gp_plugin.config.loading import Config, load_config
from fsspec_gp_plugin.config.options import OPTIONS
from fsspec_gp_plugin.config.s3_plugin import NAMES
from fsspec_gp_plugin.config.units import format_size, parse_duration, parse_size
from fsspec_gp_plugin.errors import ConfigError
from tests.servers import certificates

MB = 1 << 20

Load = Callable[..., Config]


def as_strings(text: str) -> Any:
    """YAML with every scalar left as text, as gpbackup decodes it."""
    return yaml.load(text, yaml.BaseLoader)  # noqa: S506 - the loader that makes nothing but text


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def loaded(options: str, top: str = "executablepath: /x\n") -> Config:
        path = tmp_path / "config.yaml"
        lines = "".join(f"  {line}\n" for line in options.splitlines())
        path.write_text(f"{top}options:\n{lines}")
        return load_config(str(path))

    return loaded


def test_defaults(load: Load) -> None:
    config = load("url: s3://bucket/prefix")
    assert (config.url, config.storage_options) == ("s3://bucket/prefix", {})
    assert (config.backup_max_concurrent_requests, config.restore_max_concurrent_requests) == (4, 4)
    assert (config.backup_multipart_chunksize, config.restore_multipart_chunksize) == (8 * MB, 8 * MB)
    assert config.logger_verbosity == "info"


def test_values_are_text_as_gpbackup_rewrites_them(load: Load) -> None:
    plain = load("url: file:///t\nbackup_max_concurrent_requests: 8\nrestore_subset: on\npgport: 5432")
    quoted = load(
        '"url": "file:///t"\n"backup_max_concurrent_requests": "8"\nrestore_subset: "on"\n'
        'backup_plugin_version: ""\n"pgport": "5432"'
    )
    assert plain == quoted
    assert plain.backup_max_concurrent_requests == 8


def test_an_empty_value_means_the_default(load: Load) -> None:
    assert (
        load("url: file:///t\nlogger_verbosity:\nbackup_multipart_chunksize: ''\nstorage_options: ~").storage_options
        == {}
    )


def test_gpbackups_own_keys_are_known(load: Load) -> None:
    own = "\n".join(f"{option.name}: 'off'" for option in OPTIONS if not option.ours and option.name not in NAMES)
    assert load(f"url: file:///t\n{own}").url == "file:///t"


@pytest.mark.parametrize(
    "block",
    [
        "storage_options: |\n  key: k\n  use_ssl: true\n  client_kwargs:\n    endpoint_url: http://h\n    n: 8",
        'storage_options: |\n  {"key": "k", "use_ssl": true,\n  \t"client_kwargs":{"endpoint_url":"http://h","n":8}}',
        "storage_options: \"{key: k, use_ssl: true, client_kwargs: {endpoint_url: 'http://h', n: 8}}\"",
    ],
)
def test_storage_options_are_text_holding_yaml_or_json(load: Load, block: str) -> None:
    expected = {"key": "k", "use_ssl": True, "client_kwargs": {"endpoint_url": "http://h", "n": 8}}
    assert load(f"url: s3://b\n{block}").storage_options == expected


def test_what_gpbackup_makes_of_a_block_is_the_same(load: Load) -> None:
    """Gpbackup reads the file into strings and writes those out again."""
    options = "url: s3://b\nstorage_options: |\n  key: k\n  secret: 's: #1'\n"
    first = load(options)
    strings = as_strings("x:\n" + "".join(f"  {line}\n" for line in options.splitlines()))["x"]
    assert load(yaml.dump(strings, default_style='"')) == first


def test_variables_are_filled_in(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GP_TEST_NAME", 'va: "lue')
    values = "a: x-${GP_TEST_NAME}\n  b: [{c: '${GP_TEST_NAME}'}]\n  d: $${GP_TEST_NAME}\n  e: $GP_TEST_NAME"
    text = f"storage_options: |\n  {values}"
    assert load(f"url: s3://b\n{text}").storage_options == {
        "a": 'x-va: "lue',
        "b": [{"c": 'va: "lue'}],
        "d": "${GP_TEST_NAME}",
        "e": "$GP_TEST_NAME",
    }


def test_a_file_of_options_is_laid_over_mapping_by_mapping(load: Load, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.yaml"
    secrets.write_text('{"secret": "from-file", "client_kwargs": {"region_name": "over"}}')
    secrets.chmod(0o600)
    inline = "storage_options: |\n  key: k\n  secret: under\n  client_kwargs: {region_name: under, endpoint_url: kept}"
    config = load(f"url: s3://b\n{inline}\nstorage_options_file: {secrets}")
    assert config.storage_options == {
        "key": "k",
        "secret": "from-file",
        "client_kwargs": {"region_name": "over", "endpoint_url": "kept"},
    }
    assert redaction.scrub("it said from-file") == "it said ***"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_file_of_options_that_others_can_touch_is_refused(load: Load, tmp_path: Path, mode: int) -> None:
    secrets = tmp_path / "secrets.yaml"
    secrets.write_text("a: b")
    secrets.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        load(f"url: s3://b\nstorage_options_file: {secrets}")


def test_messages_never_quote_values(load: Load) -> None:
    """A secret may stand under a key that was misspelt, or in text that does not parse."""
    for options in (
        "secrett: hunter2",
        "logger_verbosity: hunter2",
        "backup_multipart_chunksize: hunter2",
        "storage_options: 'hunter2'",
        "storage_options: '{secret: hunter2: [}'",
    ):
        with pytest.raises(ConfigError) as caught:
            load(f"url: s3://b\n{options}")
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8MB", 8 * MB),
        ("8 mb", 8 * MB),
        ("8MiB", 8 * MB),
        ("8M", 8 * MB),
        ("1.5GB", 1536 * MB),
        ("65536", 65536),
        ("1T", 1 << 40),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "8XB", "-1MB", "8MBs", "1e3"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(text)


def test_durations() -> None:
    assert [parse_duration(text) for text in ("60", "60s", "5m", "250ms", "1.5h", "2d")] == [
        60,
        60,
        300,
        0.25,
        5400,
        172800,
    ]
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration("soon")


def test_sizes_for_people() -> None:
    assert [format_size(n) for n in (0, 1023, 1024, 5 << 20, 3 << 30, 5 << 40)] == [
        "0 B",
        "1023 B",
        "1.0 KB",
        "5.0 MB",
        "3.0 GB",
        "5.0 TB",
    ]


# What the file of secrets holds that an example speaks of, where it isn't a key and a secret.
SECRETS = {
    "azure_key.yaml": "account_key: c29tZSBrZXk=\n",
    "gcs.yaml": "token: anon\n",
    "smb.yaml": "username: someone\npassword: something\n",
}
EXAMPLES = sorted(Path("config_examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_load_and_open(path: Path, tmp_path: Path) -> None:
    from fsspec_gp_plugin.storage.open import open_store

    secrets = tmp_path / "secrets.yaml"
    secrets.write_text(SECRETS.get(path.name, "key: some-key\nsecret: some-secret\n"))
    secrets.chmod(0o600)
    text = path.read_text().replace("/home/gpadmin/.fsspec_gp_plugin/secrets.yaml", str(secrets))
    authority = certificates.make(tmp_path / "certificates").authority
    text = text.replace("/etc/pki/ca-trust/source/anchors/company.pem", str(authority))
    strings = as_strings(text)
    assert all(isinstance(value, str) for value in strings["options"].values()), "gpbackup takes only text"
    copy = tmp_path / "config.yaml"
    copy.write_text(yaml.dump(strings, default_style='"'))
    config = load_config(str(copy))
    open_store(config.url, config.storage_options).close()


def test_there_are_examples() -> None:
    of_s3 = {"s3.yaml", "s3_role.yaml", "minio.yaml", "s3_compatible.yaml", "r2.yaml"}
    others = {
        "local.yaml",
        "gcs.yaml",
        "azure_key.yaml",
        "azure_identity.yaml",
        "sftp.yaml",
        "webhdfs.yaml",
        "smb.yaml",
    }
    assert {path.name for path in EXAMPLES} >= of_s3 | others
