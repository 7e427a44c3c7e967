"""scripts/check_links.py finds links that lead nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.check_links import problems

if TYPE_CHECKING:
    from pathlib import Path


def checked(root: Path, readme: str, **documents: str) -> list[str]:
    """What is found in a checkout with these documents."""
    (root / "docs").mkdir()
    (root / "README.md").write_text(readme)
    for name, text in documents.items():
        (root / f"docs/{name}.md").write_text(text)
    return list(problems(root))


@pytest.mark.parametrize(
    "link",
    [
        "docs/agent.md",
        "docs/agent.md#who-starts-it-and-when-it-ends",
        "docs/agent.md#again-1",
        "docs/agent.md#the-option-agent_idle",
        "#top",
        "docs",
        "https://example.com/nowhere#at-all",
        "mailto:nobody@example.com",
    ],
)
def test_a_link_that_leads_somewhere_is_well(tmp_path: Path, link: str) -> None:
    agent = "# Agent\n\n## Who starts it, and when it *ends*\n\n## Again\n\n## Again\n\n### The option `agent_idle`\n"
    assert checked(tmp_path, f"# Top\n\n[it]({link})\n", agent=agent) == []


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("docs/other.md", "there is no docs/other.md"),
        ("agent.md", "there is no agent.md"),
        ("../elsewhere.md", "there is no ../elsewhere.md"),
        ("docs/agent.md#ends", "there is no such heading: docs/agent.md#ends"),
        ("docs/agent.md#not-a-heading", "there is no such heading: docs/agent.md#not-a-heading"),
        ("#bottom", "there is no such heading: #bottom"),
    ],
)
def test_a_link_that_leads_nowhere_is_told_with_its_line(tmp_path: Path, link: str, why: str) -> None:
    (tmp_path.parent / "elsewhere.md").write_text("")
    agent = "# Agent\n\n```\n# Not a heading\n```\n"
    assert checked(tmp_path, f"# Top\n\none\n[it]({link})\n", agent=agent) == [f"README.md:4: {why}"]


def test_links_in_tables_images_and_other_documents_are_looked_at(tmp_path: Path) -> None:
    table = "| a ` |\n| --- |\n| [b](gone.md) ` |\n"
    assert checked(tmp_path, "![a](docs/a.svg)", one=table, two="[a](../README.md) [b](three.md)") == [
        "README.md:1: there is no docs/a.svg",
        "docs/one.md:3: there is no gone.md",
        "docs/two.md:1: there is no three.md",
    ]


def test_what_only_looks_like_a_link_is_none(tmp_path: Path) -> None:
    assert checked(tmp_path, "`[a](gone.md)`\n\n    [b](gone.md)\n") == []


@pytest.mark.parametrize("path", ["fsspec_gp_plugin/agent/wire.py", "config_examples/s3.yaml", "scripts/demo"])
def test_documents_that_other_files_name_must_be_there(tmp_path: Path, path: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("# see docs/agent.md#it\n# and docs/s3.md, and docs/agent.md#else.\n")
    assert checked(tmp_path, "", agent="# It\n") == [
        f"{path}:2: there is no docs/s3.md",
        f"{path}:2: there is no such heading: docs/agent.md#else",
    ]
