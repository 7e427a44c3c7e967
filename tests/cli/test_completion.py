"""The completion scripts, by the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.commands import FOR_GPBACKUP, FOR_PEOPLE, PROGRAM
from tests.cli.terminal import Terminal
from tests.protocol.agents import EXECUTABLE
from tests.servers.fixtures import skip_unless_required

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.caller import Plugin

# Completes the last word of its arguments as bash does when the tabulator is pressed.
COMPLETE = f"""
. ./completion.bash
COMP_WORDS=({PROGRAM} "$@")
COMP_CWORD=$#
COMPREPLY=()
_{PROGRAM}
printf '%s\\n' "${{COMPREPLY[@]}}"
complete -p {PROGRAM}
"""


@cache
def script(shell: str) -> str:
    return subprocess.run([str(EXECUTABLE), "completion", shell], capture_output=True, text=True, check=True).stdout


def test_bash_completes_commands_options_and_files(tmp_path: Path) -> None:
    (tmp_path / "completion.bash").write_text(script("bash"))

    def completed(*words: str) -> list[str]:
        line = ["bash", "--norc", "-c", COMPLETE, "bash", *words]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        *found, registered = done.stdout.splitlines()
        assert "-o default" in registered  # files, where there are no words
        return [word for word in found if word]

    assert completed("") == [*FOR_GPBACKUP, *FOR_PEOPLE, "--help", "--version"]
    assert completed("restore_data") == ["restore_data", "restore_data_subset"]
    assert {"--help", "--quick", "--shard", "--json"} <= set(completed("verify", "--"))
    assert completed("verify", "plugin.yaml", "--q") == ["--quick"]
    assert completed("backup_data", "--") == ["--help"]
    assert completed("completion", "") == ["bash", "zsh"]
    assert completed("agent", "st") == ["status", "stop"]
    assert completed("list", "") == []
    assert completed("verify", "plugin.yaml", "x") == []


@pytest.mark.parametrize("name", FOR_PEOPLE)
def test_no_option_is_left_out(name: str) -> None:
    """What --help tells of each command is in both scripts."""
    told = subprocess.run([str(EXECUTABLE), name, "--help"], capture_output=True, text=True, check=True).stdout
    options = {word.strip("[],()") for word in told.split() if word.startswith(("--", "[--"))}
    for shell in ("bash", "zsh"):
        lines = [line.strip() for line in script(shell).splitlines()]
        found = " ".join(line for line in lines if name in line.partition(")")[0].split("|"))
        assert [option for option in options if option not in found] == []


def test_zsh_takes_it(tmp_path: Path) -> None:
    if shutil.which("zsh") is None:
        skip_unless_required("zsh", "zsh is not installed")
    (tmp_path / f"_{PROGRAM}").write_text(script("zsh"))
    line = f"fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; print $_comps[{PROGRAM}]; . ./_{PROGRAM}"
    done = subprocess.run(["zsh", "-f", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"_{PROGRAM}\n", "")
    terminal = Terminal(["zsh", "-f", "-i"], {**os.environ, "PS1": "ready> ", "TERM": "dumb", "ZDOTDIR": str(tmp_path)})
    terminal.answer("ready> ", f"cd {tmp_path}; {line}; echo loa''ded\n")
    terminal.answer("loaded", "")
    terminal.answer("ready> ", f"{PROGRAM} veri\tplugin.yaml --qu\t")
    terminal.answer("--quick", "\n")
    terminal.answer("ready> ", "exit\n")
    terminal.end()


def test_another_shell_is_refused(local: Plugin) -> None:
    local.shell(f"{EXECUTABLE} completion fish").failed("invalid choice: 'fish'", status=2)
