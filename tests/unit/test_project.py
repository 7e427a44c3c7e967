"""The house itself: directions of imports, start-up, generated texts."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import fsspec_gp_plugin
from fsspec_gp_plugin.commands import FOR_GPBACKUP, FOR_PEOPLE
from fsspec_gp_plugin.config.options import reference
from scripts import documents


def test_imports_go_one_way() -> None:
    done = subprocess.run([Path(sys.executable).parent / "lint-imports"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_an_import_of_fsspec_outside_of_storage_is_found(tmp_path: Path) -> None:
    package = tmp_path / "fsspec_gp_plugin"
    shutil.copytree(Path(fsspec_gp_plugin.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy("pyproject.toml", tmp_path)
    folders = sorted(path.parent for path in package.glob("*/__init__.py"))
    for module in [package / "new.py", package / "log.py", *(folder / "new.py" for folder in folders)]:
        with module.open("a") as file:
            file.write("import fsspec\n")
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([program, "--no-cache"], cwd=tmp_path, capture_output=True, text=True, check=False)
    found = set(re.findall(r"fsspec_gp_plugin\.(\w+) is not allowed to import fsspec", done.stdout))
    assert found == {"new", "log", *(folder.name for folder in folders)} - {"storage"}


def test_the_documents_option_table_is_the_codes() -> None:
    assert reference() in Path("docs/configuration.md").read_text()


def test_no_placeholder_is_left_in_the_documents() -> None:
    for document in documents.find(Path()):
        assert re.findall(r"(?m)^\W*(?:[A-Z_]{3,}|TODO.*|TBD.*)\W*$", document.read_text()) == [], document


@pytest.mark.parametrize("name", ["commands", "replicas"])
def test_the_documents_sql_has_each_segment_do_its_share(name: str) -> None:
    found = re.search(r"EXECUTE '([^']*)'", Path(f"docs/{name}.md").read_text())
    assert found is not None
    line = found[1].replace("/usr/local/fsspec_gp_plugin/bin/fsspec_gp_plugin", "echo")
    environment = {**os.environ, "GP_SEGMENT_ID": "2", "GP_SEGMENT_COUNT": "4"}
    done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.endswith("2/4")
    assert second == "segment 2: status 0"


def test_every_variable_of_the_tests_is_explained() -> None:
    files = [
        path
        for name in ("tests", "scripts", ".ci")
        for path in Path(name).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    ]
    used = {name for path in files for name in re.findall(rb"\bGP_PLUGIN_[A-Z_]+\b", path.read_bytes())}
    told = re.findall(rb"\bGP_PLUGIN_[A-Z_]+\b", Path("docs/development.md").read_bytes())
    assert used == set(told)


def test_the_changelog_knows_this_version() -> None:
    assert f"## [{fsspec_gp_plugin.__version__}]" in Path("CHANGELOG.md").read_text()


def test_every_command_is_explained_in_the_documents() -> None:
    text = Path("docs/commands.md").read_text()
    assert [
        name for name in (*FOR_GPBACKUP, *FOR_PEOPLE) if not re.search(rf"(?:`|fsspec_gp_plugin ){name}\b", text)
    ] == []


@pytest.mark.skipif(not Path("fsspec_gp_plugin").is_dir(), reason="there is no source tree")
def test_a_wheel_tells_type_checkers_that_it_has_types(tmp_path: Path) -> None:
    line = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"
    environment = {**os.environ, "FSSPEC_GP_PLUGIN_CLIENT": "python", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", line, str(tmp_path)]
    name = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    with zipfile.ZipFile(tmp_path / name) as wheel:
        assert wheel.read("fsspec_gp_plugin/py.typed") == b""
        metadata = wheel.read(f"{name.rsplit('-', 3)[0]}.dist-info/METADATA").decode()
    assert "Classifier: Typing :: Typed\n" in metadata


@pytest.mark.parametrize(
    "module",
    [
        "fsspec_gp_plugin.keys",
        "fsspec_gp_plugin.config.values",
        "fsspec_gp_plugin.transfer.ranged_read",
        "fsspec_gp_plugin.backups.parallel",
    ],
)
def test_examples_in_docstrings_hold(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0


def loaded_by(code: str) -> set[str]:
    # Measured coverage would load modules of its own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    line = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", line], capture_output=True, text=True, check=True, env=environment
    )
    return set(done.stdout.split())


def test_answers_that_need_no_storage_load_none() -> None:
    modules = loaded_by("from fsspec_gp_plugin.dispatch import main; main(['--version']); main(['plugin_api_version'])")
    for name in ("yaml", "fsspec", "logging", "asyncio", "argparse", "dataclasses", "fsspec_gp_plugin.protocol"):
        assert name not in modules


def test_a_local_target_needs_no_fsspec() -> None:
    modules = loaded_by("import fsspec_gp_plugin.protocol.data, fsspec_gp_plugin.storage.local.store")
    assert not {"fsspec", "s3fs", "aiohttp", "botocore"} & modules


def test_gpbackups_commands_load_nothing_of_the_commands_for_people() -> None:
    protocol = sorted(Path(fsspec_gp_plugin.__file__).parent.glob("protocol/[a-z]*.py"))
    modules = loaded_by("; ".join(f"import fsspec_gp_plugin.protocol.{path.stem}" for path in protocol))
    assert "fsspec_gp_plugin.protocol.replication" in modules
    assert not {"rich", "argparse", "fsspec_gp_plugin.cli"} & modules


def test_messages_that_are_explained_are_those_of_the_program() -> None:
    """The first cells of docs/troubleshooting.md: each piece between `…` stands in the code."""
    package = Path(fsspec_gp_plugin.__file__).parent
    told = [Path("bin/fsspec_gp_plugin").read_text(), (package / "agent/client.c").read_text()]
    for path in package.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        told += [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    rows = re.findall(r"(?m)^\| (`.*?) \|", Path("docs/troubleshooting.md").read_text())
    others = ("No such file", "Permission denied", "Could not find", "No module", "symbol lookup")  # other programs'
    messages = [text for row in rows for text in re.findall(r"`([^`]+)`", row) if not text.startswith(others)]
    assert len(messages) > 50
    for message in messages:
        for piece in filter(None, (piece.strip() for piece in message.split("…"))):
            assert any(piece in text for text in told), (message, piece)
