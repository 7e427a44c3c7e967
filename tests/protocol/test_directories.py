"""The commands for whole directories."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.protocol.caller import Plugin
    from tests.protocol.conftest import Target


def fill(folder: Path) -> dict[str, bytes]:
    """Files of several sizes, some deep; their content by relative path."""
    files = {"empty": b"", "small": b"x", "deep/er/file": os.urandom(100), "large": os.urandom(11 << 20)}
    files |= {f"many/{number}": os.urandom(number) for number in range(30)}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return files


def read(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("parallel", [[], ["3"]])
def test_a_directory_goes_and_comes_back(plugin: Plugin, target: Target, tmp_path: Path, parallel: list[str]) -> None:
    folder = tmp_path / "etc/greenplum"
    files = fill(folder)
    suffix = "_parallel" if parallel else ""
    said = plugin.run(f"backup_directory{suffix}", str(folder), *parallel).succeeded().out.decode()
    assert said.startswith(f"Uploaded {len(files)} files ({sum(map(len, files.values()))} bytes")
    assert target.keys() == sorted(f"{str(folder)[1:]}/{name}" for name in files)
    shutil.rmtree(folder)
    said = plugin.run(f"restore_directory{suffix}", str(folder), *parallel).succeeded().out.decode()
    assert said.startswith(f"Downloaded {len(files)} files")
    assert read(folder) == files


def test_a_local_backup_that_is_uploaded_lies_where_gprestore_looks(plugin: Plugin, target: Target) -> None:
    folder = Path(plugin.database.directory())
    folder.mkdir(parents=True)
    (folder / "gpbackup_0_20260102030405_toc.yaml").write_text("made without the plugin")
    plugin.run("backup_directory", str(folder)).succeeded()
    found = [key for key in target.keys() if not key.endswith(".manifest.gz")]  # noqa: SIM118 - a method of ours
    assert found == ["backups/20260102/20260102030405/gpbackup_0_20260102030405_toc.yaml"]
    elsewhere = plugin.database.file("gpbackup_0_20260102030405_toc.yaml", segment=1)
    assert plugin.run("restore_data", elsewhere).succeeded().out == b"made without the plugin"


def test_another_directory_named_backups_has_nothing_to_do_with_ours(plugin: Plugin, target: Target) -> None:
    path = plugin.database.table()
    plugin.run("backup_data", path, stdin=b"a table").succeeded()
    folder = plugin.database.folder / "app/backups"
    folder.mkdir(parents=True)
    (folder / "theirs").write_text("x")
    plugin.run("backup_directory", str(folder)).succeeded()
    plugin.run("delete_directory", str(folder)).succeeded()
    assert target.keys() == [plugin.database.key(path)]


@pytest.mark.every_target
def test_deleting_a_directory_spares_what_begins_alike(plugin: Plugin, target: Target) -> None:
    target.put(["some/dir/a", "some/dir/b/c", "some/dir2/d", "some/directory"])
    assert plugin.run("delete_directory", "some/dir").succeeded().out == b"Deleted 2 objects below some/dir/\n"
    assert target.keys() == ["some/dir2/d", "some/directory"]
    for path in ("/", ".", "./"):
        plugin.run("delete_directory", path).failed("is the whole target", status=2)
    plugin.run("delete_directory", "backups/").failed("holds every backup", status=2)
    plugin.run("delete_directory", "some/../..").failed("must not contain '..'", status=2)
    assert len(target.keys()) == 2


@pytest.mark.every_target
def test_listing_shows_what_is_there(plugin: Plugin, target: Target) -> None:
    assert plugin.run("list_directory").succeeded().out.split() == [b"NAME", b"SIZE(bytes)"]
    target.put(["some/a", "other/b"])
    assert plugin.run("list_directory").succeeded().out.split()[2:] == [b"other/b", b"1", b"some/a", b"1"]
    assert plugin.run("list_directory", "/some/").succeeded().out.split()[2:] == [b"some/a", b"1"]


def test_what_cannot_be_kept_is_refused_before_anything_is_sent(plugin: Plugin, target: Target, tmp_path: Path) -> None:
    folder = tmp_path / "dir"
    plugin.run("backup_directory", str(folder)).failed("can't read", str(folder))
    folder.mkdir()
    (folder / "file").write_text("x")
    os.mkfifo(folder / "fifo")
    plugin.run("backup_directory", str(folder)).failed("fifo", "is not a regular file")
    (folder / "fifo").unlink()
    with open(os.fsencode(folder) + b"/caf\xe9", "wb"):
        pass
    plugin.run("backup_directory", str(folder)).failed("is not a name in UTF-8")
    os.unlink(os.fsencode(folder) + b"/caf\xe9")
    (folder / "link").symlink_to(tmp_path)
    plugin.run("backup_directory", str(folder)).failed("link to a directory")
    plugin.run("restore_directory", str(folder)).failed("there are no objects below")
    plugin.run("backup_directory_parallel", str(folder), "many").failed("expected 1 to 64", status=2)
    assert target.keys() == []
