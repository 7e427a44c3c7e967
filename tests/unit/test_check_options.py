"""scripts/check_options.py finds options of a configuration that only the documents or only the program has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.config.options import BY_NAME
from scripts.check_options import problems

if TYPE_CHECKING:
    from pathlib import Path

ALL = " ".join(f"`{name}`" for name in BY_NAME)


def checked(root: Path, text: str, everything: str = ALL) -> list[str]:
    """What is found with this README."""
    (root / "README.md").write_text(f"{text}\n\n# All\n\n{everything}")
    return list(problems(root))


def block(text: str) -> str:
    """It as a block of YAML, from line 2 on."""
    return f"\n```yaml\n{text}\n```\n"


@pytest.mark.parametrize(
    "text",
    [
        block("executablepath: /bin/x\noptions:\n  url: s3://b/p\n  timeout: 30s\n  checksum: off\n  agent: on"),
        block("storage_options: |\n  key: ${KEY}\n  any_name: of the provider's"),
        block("key: AKIA…\nsecret: …\nendpoint_url: https://example.com"),
        block("memory_limit: …\nmax_parts: NUMBER"),
        block("groups:\n  - name: gpbackup"),
        "`memory_limit: 64MB`, `region_name`, `s3_additional_kwargs`",
        "memory_limits",
    ],
)
def test_what_the_program_takes_is_well(tmp_path: Path, text: str) -> None:
    assert checked(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (block("options:\n  uri: s3://b/p"), "there is no option uri"),
        (block("options:\n  memory_limits: 1GB"), "there is no option memory_limits; is memory_limit meant?"),
        (block("memory_limits: 1GB"), "there is no option memory_limits; is memory_limit meant?"),
        (block("url: s3://b/p\nkeys: a"), "there is no option keys"),
        (block("options:\n  url: s3://b/p\nother: 1"), "there is no other beside options"),
        (block("options:\n  timeout: soon"), "timeout: soon: "),
        (block("options:\n  agent: maybe"), "agent: maybe: expected on or off"),
        (block("options:\n  storage_options:\n    key: a"), "storage_options is a nested mapping or list"),
        (block("options: {"), "not YAML: "),
        ("\n`memory_limits`", "there is no memory_limits; is memory_limit meant?"),
    ],
)
def test_what_the_program_does_not_take_is_told_with_its_line(tmp_path: Path, text: str, why: str) -> None:
    (found,) = checked(tmp_path, text)
    assert found.startswith(f"README.md:2: {why}")


def test_examples_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "config_examples").mkdir()
    (tmp_path / "config_examples/s3.yaml").write_text("executablepath: /bin/x\noptions:\n  uri: s3://b/p\n")
    assert checked(tmp_path, "") == ["config_examples/s3.yaml: there is no option uri"]


def test_a_word_of_the_program_is_no_misspelt_option(tmp_path: Path) -> None:
    (tmp_path / "fsspec_gp_plugin").mkdir()
    (tmp_path / "fsspec_gp_plugin/module.py").write_text("memory_limits = 1\n")
    assert checked(tmp_path, "`memory_limits`") == []


def test_an_option_that_no_document_tells_of_is_told(tmp_path: Path) -> None:
    assert checked(tmp_path, "", ALL.replace("`max_bandwidth`", "max_bandwidth")) == [
        "no document tells of the option max_bandwidth"
    ]
