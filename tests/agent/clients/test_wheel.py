"""What an installation consists of, with a compiler and without."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.agent.clients.installations import LAUNCHER, SOURCES, compiler

pytestmark = pytest.mark.skipif(not Path("fsspec_gp_plugin").is_dir(), reason="there is no source tree")
SCRIPTS = {"scripts/fsspec_gp_plugin", "scripts/fsspec_gp_plugin.sh"}
CLIENT = "data/libexec/fsspec_gp_plugin/client.py"


def build(folder: Path, kind: str = "wheel", **environment: str) -> tuple[str, dict[str, bytes], set[str]]:
    """The tag of a wheel, its scripts and data, and which of these are executable."""
    line = "import hatchling.build, sys; print(getattr(hatchling.build, sys.argv[1])(sys.argv[2]))"
    before = sources()
    done = subprocess.run(
        [sys.executable, "-c", line, f"build_{kind}", str(folder)],
        env={**os.environ, "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert sources() == before
    (name,) = os.listdir(folder)
    assert done.stdout == f"{name}\n"
    with zipfile.ZipFile(folder / name) as wheel:
        found = {path.partition(".data/")[2]: path for path in wheel.namelist() if ".data/" in path}
        executable = {name for name, path in found.items() if wheel.getinfo(path).external_attr >> 16 & 0o111}
        return name[:-4].split("-", 2)[2], {name: wheel.read(path) for name, path in found.items()}, executable


def sources() -> set[str]:
    """Where a build might leave something; not what belongs to tools."""
    listed = [*os.listdir(), *os.listdir(SOURCES), *os.listdir(LAUNCHER.parent)]
    return {name for name in listed if not name.startswith((".", "__"))}


def test_with_a_compiler_the_executable_is_a_program_of_this_platform(tmp_path: Path) -> None:
    compiler()
    tag, files, executable = build(tmp_path)
    assert tag.startswith("py3-none-linux_")
    assert files.keys() == SCRIPTS | {CLIENT}
    assert executable == SCRIPTS
    assert files["scripts/fsspec_gp_plugin"].startswith(b"\x7fELF")
    assert files["scripts/fsspec_gp_plugin.sh"] == LAUNCHER.read_bytes()
    assert files[CLIENT] == (SOURCES / "client.py").read_bytes()


# What they do with the path that they should write to.
COMPILERS = {
    "fails": "exit 1",
    "writes nothing": "exit 0",
    "writes garbage": "echo garbage > $last",
    "writes an executable of another machine": "echo garbage > $last; chmod 755 $last",
    "writes an executable that crashes": "printf '#!/bin/sh\nkill -11 $$' > $last; chmod 755 $last",
}


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_compiler_that_does_not_work_is_none(tmp_path: Path, compiler: str) -> None:
    (tmp_path / "cc").write_text(f"#!/bin/sh\nfor last; do :; done\n{COMPILERS[compiler]}\n")
    (tmp_path / "cc").chmod(0o755)
    (tmp_path / "wheel").mkdir()
    tag, files, executable = build(tmp_path / "wheel", CC=f"{tmp_path}/cc -m64")
    assert tag == "py3-none-any"
    assert files.keys() == SCRIPTS | {CLIENT}
    assert executable == SCRIPTS
    assert {files[name] for name in SCRIPTS} == {LAUNCHER.read_bytes()}


@pytest.mark.parametrize("environment", [{"CC": "/not/there"}, {"FSSPEC_GP_PLUGIN_CLIENT": "python"}], ids=str)
def test_without_the_compiled_client_the_launcher_has_both_names(tmp_path: Path, environment: dict[str, str]) -> None:
    tag, files, _ = build(tmp_path, **environment)
    assert tag == "py3-none-any"
    assert {files[name] for name in SCRIPTS} == {LAUNCHER.read_bytes()}


def test_an_editable_installation_has_the_same(tmp_path: Path) -> None:
    compiler()
    _, files, executable = build(tmp_path, "editable")
    assert files.keys() == SCRIPTS | {CLIENT}
    assert executable == SCRIPTS
    assert files["scripts/fsspec_gp_plugin"].startswith(b"\x7fELF")
