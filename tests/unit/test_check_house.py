"""scripts/check_house.py measures how the package is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts import check_house
from scripts.trace_backup import trace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {
        "providers": "TABLE = ('s3', 'gs', 'sftp', 'smb')\n",
        "storage/s3/store": "SCHEME = 's3'\n",
        "storage/azure/store": "",
        "storage/azure/tables": "KINDS = {'sftp': 1, 'smb': 2}\nOTHER = 'webdav'\n",
        "cli/tables": "# 's3', 'gs' and 'sftp' in a comment\n",
    }.items():
        path = tmp_path / check_house.PACKAGE / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / check_house.PACKAGE / "client.c").write_text("int one;\nint two;\n")
    return tmp_path


def test_a_module_that_names_several_protocols_lists_them(root: Path) -> None:
    assert check_house.find_protocol_lists(root) == [
        f"{check_house.PACKAGE}/providers.py",
        f"{check_house.PACKAGE}/storage/azure/tables.py",
    ]


def test_only_what_every_provider_has_may_have_one_name_in_two_places(root: Path) -> None:
    assert check_house.find_twins(root) == ["cli/tables.py, storage/azure/tables.py"]


def test_files_and_lines_in_c_count_too(root: Path) -> None:
    assert check_house.count(root) == (6, 7)


def test_modules_that_import_each_other_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "turning"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("from . import two\n")
    (package / "two.py").write_text("TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from . import one\n")
    (package / "three.py").write_text("from . import one\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(check_house, "PACKAGE", "turning")
    assert check_house.find_circles() == ["turning.one ↔ turning.two"]


def test_the_trace_of_a_backup_leads_from_main_to_the_socket() -> None:
    frames = trace()
    assert frames[0] == "dispatch.py: main"
    assert "protocol/data.py: backup_data" in frames
    assert frames[-1].startswith("storage/http/transport.py: ")
