"""Encrypted values among the storage options, when they have been opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from fsspec_gp_plugin.config.encrypted_values import encrypted, new_key
from fsspec_gp_plugin.config.loading import parse_config
from fsspec_gp_plugin.redaction import scrub

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "somewhere-that-nobody-may-know"


@pytest.mark.parametrize("prefix", ["", "replica_"], ids=["first", "replica"])
@pytest.mark.parametrize("where", ["configuration", "file"])
@pytest.mark.parametrize("name", ["endpoint_url", "profile"])
def test_an_encrypted_value_is_secret_whatever_its_name(tmp_path: Path, name: str, where: str, prefix: str) -> None:
    key = new_key()
    options = yaml.safe_dump({"nested": [{name: encrypted(SECRET, key)}]})
    given = {"url": "s3://bucket/x", "replica_url": "s3://copy/x", "fsspec_gp_plugin": key}
    if where == "file":
        path = tmp_path / "secrets.yaml"
        path.write_text(options)
        path.chmod(0o600)
        given[f"{prefix}storage_options_file"] = str(path)
    else:
        given[f"{prefix}storage_options"] = options
    config = parse_config("c.yaml", yaml.safe_dump({"executablepath": "/x", "options": given}), {})
    found = config.replica if prefix else config
    assert found is not None
    assert found.storage_options == {"nested": [{name: SECRET}]}
    assert scrub(f"no such host: {SECRET}") == "no such host: ***"
