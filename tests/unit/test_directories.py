"""Whole directories from a store that can't be trusted."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsspec_gp_plugin.errors import LocalFileError, PluginError
from fsspec_gp_plugin.log import Log
from fsspec_gp_plugin.process import Streams
from fsspec_gp_plugin.protocol import directories
from fsspec_gp_plugin.protocol.context import Context
from tests.fakes import FakeStore

pieces = st.sampled_from(["..", ".", "", "a", "b", "\n", "\0", "\udcff", "x" * 300, "~", "-", "*"])
# A name of these can be restored, unless it is a directory of another name.
HARMLESS = {"a", "b", "\n", "~", "-", "*"}


def context(tmp_path: Path, store: FakeStore) -> Context:
    config = tmp_path / "config.yaml"
    config.write_text("executablepath: /x\noptions:\n  url: s3://bucket\n")
    return Context(Streams(0, 1, 2), Log(str(tmp_path / "log")), "test", str(config), store)


class Midst:
    """A directory, in the midst of others, into which a directory of a store is restored."""

    def __init__(self, tmp_path: Path) -> None:
        self._around = tmp_path / "around"
        self.root = self._around / "above" / "hostile"
        self.root.mkdir(parents=True)
        self._tmp_path = tmp_path

    def restore(self, names: list[str]) -> None:
        store = FakeStore()
        store.objects = {f"{str(self.root).strip('/')}/{name}": f"content of {name!r}".encode() for name in names}
        before = set(threading.enumerate())
        try:
            directories.restore_directory(context(self._tmp_path, store), str(self.root))
        finally:
            # After a failure another file may still be on its way.
            deadline = time.monotonic() + 20
            while not set(threading.enumerate()) <= before:
                assert time.monotonic() < deadline, "a thread never ends"
                time.sleep(0.001)

    def files(self) -> dict[str, bytes]:
        """The files anywhere around it, by their paths from it on."""
        found = [path for path in self._around.rglob("*") if path.is_file()]
        return {os.path.relpath(path, self.root): path.read_bytes() for path in found}


@pytest.mark.parametrize("name", ["../evil", "../../evil", "a/../../evil", "/tmp/evil", "a//b", "x\0y", "."])
def test_a_key_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    midst = Midst(tmp_path)
    with pytest.raises(LocalFileError, match="would be written outside of"):
        midst.restore([name])
    assert midst.files() == {}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(pieces, min_size=1, max_size=5).map("/".join), min_size=1, max_size=4, unique=True))
def test_all_keys_are_restored_inside_or_the_restore_fails_and_nothing_is_outside(
    tmp_path: Path, names: list[str]
) -> None:
    with TemporaryDirectory(dir=tmp_path) as folder:
        midst = Midst(Path(folder))
        everything = {name: f"content of {name!r}".encode() for name in names}
        harmless = all(set(name.split("/")) <= HARMLESS for name in names)
        directory_of_another = any(other.startswith(f"{name}/") for name in names for other in names)
        try:
            midst.restore(names)
        except PluginError:
            assert not harmless or directory_of_another
            assert midst.files().items() <= everything.items()
        else:
            assert midst.files() == everything


def test_a_name_that_no_manifest_could_hold_is_refused_before_it_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsspec_gp_plugin.integrity.entries._LONGEST_NAME", 10)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "backups/20260101/20260101120000"
    folder.mkdir(parents=True)
    (folder / "eleven_long").write_text("x")
    store = FakeStore()
    with pytest.raises(PluginError, match=r"eleven_long: its name is too long"):
        directories.backup_directory(context(tmp_path, store), str(folder))
    assert store.objects == {}
