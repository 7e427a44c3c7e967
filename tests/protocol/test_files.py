"""backup_file and restore_file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target


@pytest.fixture
def folder(plugin: Plugin) -> Path:
    path = Path(plugin.database.directory(-1))
    path.mkdir(parents=True)
    return path


@pytest.mark.with_agent
@pytest.mark.parametrize("size", [0, 30, pytest.param(12_000_000, marks=pytest.mark.every_target)])
def test_a_file_goes_and_comes_back_and_the_local_one_stays(plugin: Plugin, folder: Path, size: int) -> None:
    path = folder / f"gpbackup_{plugin.database.timestamp}_toc.yaml"
    content = os.urandom(size)
    path.write_bytes(content)
    assert plugin.run("backup_file", str(path)).succeeded().out == b""
    assert path.read_bytes() == content
    path.unlink()
    plugin.run("restore_file", str(path)).succeeded()
    assert path.read_bytes() == content
    assert os.listdir(folder) == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.with_agent
@pytest.mark.every_target
def test_a_name_as_long_as_names_may_be(plugin: Plugin, folder: Path) -> None:
    """255 bytes, and fewer characters: the working name beside it must fit as well."""
    path = folder / ("é" * 127)
    path.write_text("content")
    plugin.run("backup_file", str(path)).succeeded()
    path.unlink()
    plugin.run("restore_file", str(path)).succeeded()
    assert path.read_text() == "content"


@pytest.mark.with_agent
def test_a_restored_file_replaces_the_one_that_is_there(plugin: Plugin, folder: Path) -> None:
    path = folder / "report"
    path.write_text("from the backup")
    plugin.run("backup_file", str(path)).succeeded()
    path.write_text("something else")
    plugin.run("restore_file", str(path)).succeeded()
    assert path.read_text() == "from the backup"


@pytest.mark.with_agent
def test_a_file_that_cannot_be_restored_leaves_none(plugin: Plugin, folder: Path) -> None:
    plugin.run("restore_file", f"{folder}/missing").failed("no such object", status=1)
    assert list(folder.iterdir()) == []
    plugin.run("backup_data", f"{folder}/there", stdin=b"data").succeeded()
    plugin.run("restore_file", f"{folder}/nowhere/backups/20260102/20260102030405/there").failed(
        "can't write", "No such file or directory"
    )
    (folder / "there").mkdir()
    plugin.run("restore_file", f"{folder}/there").failed("can't write", "directory")
    assert os.listdir(folder) == ["there"]


def test_a_disk_that_is_full_leaves_no_file(plugin: Plugin, folder: Path) -> None:
    path = folder / "large"
    plugin.run("backup_data", str(path), stdin=os.urandom(300_000)).succeeded()
    result = plugin.shell(f"ulimit -f 100; exec {plugin.command('restore_file', str(path))}")
    result.failed(f"can't write {path}", "File too large")
    assert list(folder.iterdir()) == []


@pytest.mark.with_agent
def test_what_is_no_readable_file_is_refused(plugin: Plugin, target: Target, folder: Path) -> None:
    plugin.run("backup_file", f"{folder}/missing").failed("can't read", "No such file or directory")
    (folder / "subfolder").mkdir()
    plugin.run("backup_file", f"{folder}/subfolder").failed("not a regular file")
    plugin.run("backup_file", str(folder)).failed("is not the path of a backup file", status=2)
    os.mkfifo(folder / "fifo")
    plugin.run("backup_file", f"{folder}/fifo").failed("not a regular file")
    plugin.run("backup_file", "/too/short").failed("not the path of a backup file", status=2)
    assert target.keys() == []
