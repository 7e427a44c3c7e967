"""scripts/check_commands.py finds commands and options that only the documents or only the program has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.check_commands import known, problems

if TYPE_CHECKING:
    from pathlib import Path

# Every option of every command, as a document may show them.
ALL = "".join(
    f"    fsspec_gp_plugin {name} CONFIG {' '.join(sorted(options))}\n" for name, (options, _) in known().items()
)


def checked(root: Path, text: str, everything: str = ALL) -> list[str]:
    """What is found with this README."""
    (root / "README.md").write_text(f"{text}\n\n# All\n\n{everything}")
    return list(problems(root))


@pytest.mark.parametrize(
    "text",
    [
        "`fsspec_gp_plugin --version`, `fsspec_gp_plugin plugin_api_version`",
        "`fsspec_gp_plugin verify CONFIG --quick`",
        "`/usr/local/bin/fsspec_gp_plugin verify CONFIG --quick`",
        "`verify --quick`, `--quick`",
        "`fsspec_gp_plugin agent status --json` and `agent stop`",
        "`fsspec_gp_plugin agent status|stop`",
        "`--single-data-file`",
        "`fsspec_gp_plugin 0.1.0`",
        "`verify` of `x--wrong`",
        "fsspec_gp_plugin what is no code --wrong",
        "```sh\nfsspec_gp_plugin list CONFIG --json; gpbackup --wrong\nmy_fsspec_gp_plugin wrong\n```",
    ],
)
def test_what_the_program_has_is_well(tmp_path: Path, text: str) -> None:
    assert checked(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("`fsspec_gp_plugin verfiy CONFIG`", "fsspec_gp_plugin has no command verfiy"),
        ("`fsspec_gp_plugin --wrong`", "fsspec_gp_plugin has no command --wrong"),
        ("`fsspec_gp_plugin verify CONFIG --size 1GB`", "verify has no --size"),
        ("`fsspec_gp_plugin backup_data CONFIG FILE --json`", "backup_data has no --json"),
        ("`verify CONFIG --size 1GB`", "verify has no --size"),
        ("`fsspec_gp_plugin agent status --yaml`", "agent has no --yaml"),
        ("`fsspec_gp_plugin agent start`", "agent takes status or stop, not start"),
        ("`fsspec_gp_plugin completion bash|fish`", "completion takes bash or zsh, not bash|fish"),
        ("`--wrong`", "no command has --wrong"),
        ("```sh\n/opt/bin/fsspec_gp_plugin list CONFIG \\\n  --wrong\n```", "list has no --wrong"),
        ("    fsspec_gp_plugin list CONFIG [--json]\n          [--wrong]", "list has no --wrong"),
    ],
)
def test_what_the_program_lacks_is_told_with_its_line(tmp_path: Path, text: str, why: str) -> None:
    assert checked(tmp_path, f"# Top\n\n{text}\n") == [f"README.md:3: {why}"]


def test_an_option_that_no_document_shows_is_told(tmp_path: Path) -> None:
    assert checked(tmp_path, "", ALL.replace("--keep-full", "")) == [
        "no document shows `fsspec_gp_plugin prune … --keep-full`"
    ]


def test_every_command_is_known_with_its_options() -> None:
    commands = known()
    assert commands["backup_data"] == ({"--help"}, set())
    assert commands["agent"] == ({"--help", "--json"}, {"status", "stop"})
    assert {"--hosts", "--quick"} < commands["doctor"][0]
