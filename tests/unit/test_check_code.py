"""scripts/check finds what is wrong with the code: by its own checks, and by the tools as pyproject.toml sets them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import check_docstrings, check_layers, check_sizes, documents


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_problems_are_printed_and_are_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert documents.report("check_it", iter(["one", "two"])) == 1
    assert capsys.readouterr() == ("", "check_it: one\ncheck_it: two\n")
    assert documents.report("check_it", iter([])) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("fsspec_gp_plugin/storage/s3/store.py", 420),
        ("fsspec_gp_plugin/storage/s3/listing.py", 260),
        ("fsspec_gp_plugin/agent/client.c", 260),
        ("tests/unit/test_keys.py", 300),
        ("scripts/bundle.py", 300),
        ("benchmarks/streams.py", 300),
        ("hatch_build.py", 300),
    ],
)
def test_a_module_has_no_more_lines_than_its_limit(tmp_path: Path, name: str, limit: int) -> None:
    write(tmp_path, name, "\n" * limit)
    assert list(check_sizes.problems(tmp_path, {})) == []
    write(tmp_path, name, "\n" * (limit + 1))
    assert list(check_sizes.problems(tmp_path, {})) == [f"{name} has {limit + 1} lines, and may have {limit}"]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (400, None),
        (401, "tests/long.py has 401 lines, and may have 400"),
        (300, "tests/long.py is no longer than 300 lines: take it out of the list in scripts/check_sizes.py"),
        (0, "tests/long.py is no longer than 300 lines: take it out of the list in scripts/check_sizes.py"),
    ],
)
def test_an_exception_holds_up_to_its_own_limit_and_as_long_as_it_is_needed(
    tmp_path: Path, lines: int, why: str | None
) -> None:
    if lines:
        write(tmp_path, "tests/long.py", "\n" * lines)
    assert list(check_sizes.problems(tmp_path, {"tests/long.py": 400})) == ([why] if why else [])


CONTRACT = '''
class Store(Protocol):
    def stat(self, key):
        """What it does."""

class Base:
    def size(self):
        """What it does."""

class Derived(Base): ...
'''


@pytest.mark.parametrize(
    ("method", "well"),
    [
        ("def other(self):\n        '''What it does.'''", True),
        ("def other(self): ...", False),
        ("async def other(self): ...", False),
        ("def _other(self): ...", True),
        ("def __len__(self): ...", True),
        ("def stat(self, key): ...", True),
        ("def stat(self, path): ...", False),
        ("def size(self): ...", True),
        ("@busy.setter\n    def busy(self, count): ...", True),
        ("@property\n    def busy(self): ...", False),
    ],
)
def test_a_public_method_has_a_docstring_or_carries_out_a_contract(tmp_path: Path, method: str, well: bool) -> None:
    write(tmp_path, "fsspec_gp_plugin/storage/contract.py", CONTRACT)
    write(
        tmp_path,
        "fsspec_gp_plugin/agent/shared_counters.py",
        f"class Slot:\n    {method}\n\nclass _Own:\n    {method}\n",
    )
    found = list(check_docstrings.problems(tmp_path))
    assert len(found) == (0 if well else 1)
    assert all(line.startswith("fsspec_gp_plugin/agent/shared_counters.py:") and "Slot." in line for line in found)


def test_a_method_without_a_docstring_states_no_contract(tmp_path: Path) -> None:
    write(tmp_path, "fsspec_gp_plugin/api.py", "class Store(Protocol):\n    def stat(self): ...\n")
    assert list(check_docstrings.problems(tmp_path)) == ["fsspec_gp_plugin/api.py:2: Store.stat has no docstring"]


PYPROJECT = """
[tool.importlinter]
root_package = "fsspec_gp_plugin"
[[tool.importlinter.contracts]]
name = "One way"
type = "layers"
layers = ["dispatch", "protocol | cli", "storage", "errors"]
"""


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        ("dispatch → protocol, cli → storage → errors", None),
        ("dispatch → cli, protocol →\nstorage → errors", None),
        ("journal → manifest → catalog`, `dispatch → protocol, cli → storage → errors", None),
        ("dispatch → protocol → storage → errors", "layer 2 is protocol, in pyproject.toml cli, protocol"),
        ("dispatch → protocol, cli → errors → storage", "layer 3 is errors, in pyproject.toml storage"),
        ("dispatch → protocol, cli → storage", "layer 4 is missing, in pyproject.toml errors"),
        ("dispatch → protocol, cli → storage → errors → log", "layer 5 is log, in pyproject.toml missing"),
    ],
)
def test_the_layers_that_a_text_tells_are_those_of_the_contract(tmp_path: Path, chain: str, why: str | None) -> None:
    write(tmp_path, "pyproject.toml", PYPROJECT)
    for changed in check_layers.TEXTS:
        for name in check_layers.TEXTS:
            text = chain if name == changed else "dispatch → protocol, cli → storage → errors"
            write(tmp_path, name, f"Imports go one way, `{text}`; a test holds that.\n")
        assert list(check_layers.problems(tmp_path)) == ([f"{changed}: {why}"] if why else [])


def test_a_text_without_layers_is_told(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", PYPROJECT)
    for name in check_layers.TEXTS:
        write(tmp_path, name, "Configure it: A → B.\n")
    assert list(check_layers.problems(tmp_path)) == [f"{name} tells no chain of layers" for name in check_layers.TEXTS]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def never_called():\n    pass\n", "unused function 'never_called'"),
        ("import os\n", "unused import 'os'"),
        ("class NeverMade:\n    pass\n", "unused class 'NeverMade'"),
        ("def called():\n    return 1\n    print()\n\ncalled()\n", "unreachable code after 'return'"),
        ("def called():\n    pass\n\ncalled()\n", None),
    ],
)
def test_dead_code_is_found(tmp_path: Path, code: str, told: str | None) -> None:
    write(tmp_path, "module.py", code)
    found = run("vulture", "--config", "pyproject.toml", str(tmp_path))
    assert [line.partition(": ")[2].partition(" (")[0] for line in found.splitlines()] == ([told] if told else [])


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("X = 1\n", "D100"),
        ('"""A module."""\n\n\nclass Public:\n    x = 1\n', "D101"),
        ('"""A module."""\n\n\ndef public() -> None:\n    print()\n', "D103"),
        ('"""A module."""\n\n\ndef _own() -> None:\n    print()\n', None),
    ],
)
@pytest.mark.parametrize("folder", ["fsspec_gp_plugin", "scripts"])
def test_a_module_class_or_function_without_a_docstring_is_found(folder: str, code: str, rule: str | None) -> None:
    found = run("ruff", "check", "--output-format=concise", f"--stdin-filename={folder}/new.py", "-", given=code)
    assert {word for word in found.split() if word.startswith("D1")} == ({rule} if rule else set())


def run(program: str, *arguments: str, given: str = "") -> str:
    """What a program of this environment prints."""
    command = [str(Path(sys.executable).parent / program), *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False).stdout
