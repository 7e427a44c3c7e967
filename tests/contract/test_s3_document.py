"""Every example in docs/s3.md is a configuration that loads, and whose options make a store."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
import yaml

from fsspec_gp_plugin.config.loading import load_config
from fsspec_gp_plugin.storage.open import open_store
from tests.servers import certificates

pytestmark = pytest.mark.usefixtures("quiet_environment")

BLOCKS = re.findall(r"(?ms)^```yaml\n(.*?)^```$", Path("docs/s3.md").read_text())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> certificates.Certificates:
    return certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_loads_and_opens(
    block: str, made: certificates.Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, file in (("ca.pem", made.authority), ("client.pem", made.chain), ("client.key", made.key)):
        block = block.replace(f"/etc/fsspec_gp_plugin/{name}", str(file))
    for variable in re.findall(r"\$\{(\w+)\}", block):
        monkeypatch.setenv(variable, "k" * 32)
    text = block if "url: s3://" in block else f"url: s3://backups/greenplum\n{block}"
    # As gpbackup reads it: nothing but text.
    document = yaml.load(f"executablepath: /x\noptions:\n{textwrap.indent(text, '  ')}", yaml.BaseLoader)  # noqa: S506
    assert all(isinstance(value, str) for value in document["options"].values())
    path = tmp_path / "config.yaml"
    path.write_text(yaml.dump(document, default_style='"'))
    config = load_config(str(path))
    open_store(config.url, config.storage_options).close()


def test_there_are_examples() -> None:
    assert len(BLOCKS) > 20
