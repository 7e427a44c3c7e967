"""Mistakes in a configuration file: each is told in words that name it, before any request is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.config.loading import load_config
from fsspec_gp_plugin.errors import ConfigError
from fsspec_gp_plugin.protocol.targets import Resources, Targets

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "executablepath: /x\noptions:\n"
URL = HEAD + "  url: file:///tmp\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (bytes(range(256)) * 12, "is not text"),
        (b"\x00\x01\x02", "is not valid YAML"),
        (b"x" * (2 << 20), "is larger than 1 MB"),
        (b"just words", "is not a YAML mapping"),
        (b"- a\n- list\n", "is not a YAML mapping"),
        (b"options: {url: [}", "is not valid YAML (line 1)"),
        (b"executablepath: /x\n", "`options:` is missing"),
        (b"executablepath: /x\noptions: file:///tmp\n", "`options:` is missing or not a mapping"),
        (HEAD.encode() + b"  pgport: 5432\n", "option 'url' is missing"),
        (b"url: file:///tmp\n", "unknown top-level key 'url' (indent it below `options:`)"),
        (URL.encode() + b"  url: file:///var\n", "key 'url' appears twice (line 4)"),
        (URL.encode() + b"  storage_options:\n    key: value\n", "write `storage_options: |`"),
        (URL.encode() + b"  restore_subset: [on]\n", "option 'restore_subset' is a list or a mapping"),
        (URL.encode() + b"  backup_multipart_chunksizes: 8MB\n", "did you mean 'backup_multipart_chunksize'?"),
        (URL.encode() + b"  entirely_different: 1\n", "unknown option 'entirely_different'"),
        (URL.encode() + b"  backup_multipart_chunksize: huge\n", "expected a size such as 8MB"),
        (URL.encode() + b"  backup_multipart_chunksize: 1KB\n", "expected a size from 64KB to 5GB"),
        (URL.encode() + b"  restore_max_concurrent_requests: many\n", "expected a whole number from 1 to 64"),
        (URL.encode() + b"  logger_verbosity: loud\n", "expected one of error, info, verbose, debug"),
        (URL.encode() + b"  agent: perhaps\n", "expected on or off"),
        (URL.encode() + b"  agent_idle: never\n", "expected a duration such as 60s"),
        (URL.encode() + b"  agent_memory_limit: 1KB\n", "expected a size from 1MB to 64GB"),
        (URL.encode() + b"  replica_url: b\n", "option 'replica_url': expected PROTOCOL://"),
        (URL.encode() + b"  replica_storage_options: 'a: b'\n", "'replica_storage_options' has no effect without"),
        (URL.encode() + b"  checksum: md5\n", "expected one of crc32c, off"),
        (URL.encode() + b"  timeout: 1ms\n", "expected a duration from 1s to 1h"),
        (URL.encode() + b"  timeout: soon\n", "expected a duration such as 60s"),
        (URL.encode() + b"  max_retries: -1\n", "expected a whole number from 0"),
        (URL.encode() + b"  max_bandwidth: 10\n", "expected a rate of at least"),
        (URL.encode() + b"  memory_limit: 1KB\n", "expected a size from 1MB to 64GB"),
        (URL.encode() + b"  max_parts: 1\n", "expected a whole number from 2"),
        (URL.encode() + b"  fixed_part_size: maybe\n", "expected on or off"),
        (URL.encode() + b"  password_encryption: perhaps\n", "option 'password_encryption': expected on or off"),
        (
            URL.encode() + b"  remote_password_encryption: on\n",
            "option 'remote_password_encryption': is not supported yet",
        ),
        (
            URL.encode() + b"  aws_secret_access_key: something\n",
            "option 'aws_secret_access_key' belongs to the S3 plugin's configuration",
        ),
        (URL.encode() + b"  storage_options: 'not a mapping'\n", "must be a mapping"),
        (URL.encode() + b"  storage_options: '{a: [}'\n", "is neither YAML nor JSON"),
        (
            URL.encode() + b"  storage_options: 'key: ${NO_SUCH_VARIABLE}'\n",
            "uses ${NO_SUCH_VARIABLE}, which is not set",
        ),
        (URL.encode() + b"  storage_options_file: /no/such/file\n", "storage_options_file /no/such/file can't be read"),
        (URL.encode() + b"  storage_options: 'compress: true'\n", "file:// knows no option 'compress'"),
        (HEAD.encode() + b"  url: /just/a/path\n", "expected PROTOCOL://"),
        (HEAD.encode() + b"  url: file://relative/path\n", "must hold an absolute path"),
        (HEAD.encode() + b"  url: s4://bucket\n", "fsspec knows no protocol 's4'; did you mean s3://?"),
        (HEAD.encode() + b"  url: memory://bucket\n", "keeps nothing after the process ends"),
        (HEAD.encode() + b"  url: s3://\n", "names no bucket"),
        (HEAD.encode() + b"  url: simplecache::s3://bucket\n", "chained URLs are not supported"),
        (HEAD.encode() + b"  url: s3://bucket\n  storage_options: 'endpiont_url: x'\n", "did you mean 'endpoint_url'?"),
        (HEAD.encode() + b"  url: oss://bucket/dir\n", "needs a package that is not installed"),
    ],
)
def test_a_configuration_that_cannot_be_used(tmp_path: Path, content: bytes, words: str) -> None:
    """`tests/protocol/test_bad_input.py` shows for a few of these what the executable makes of them."""
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as told:
        Targets(lambda: load_config(str(path)), Resources(), lambda _: None).primary(1)
    assert words in str(told.value)
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)
