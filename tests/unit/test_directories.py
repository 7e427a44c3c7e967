"""Whole directories from a store that can't be trusted."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsspec_gp_plugin.errors import PluginError
from fsspec_gp_plugin.log import Log
from fsspec_gp_plugin.process import Streams
from fsspec_gp_plugin.protocol import directories
from fsspec_gp_plugin.protocol.context import Context
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "hostile/"
pieces = st.sampled_from(["..", ".", "", "a", "b", "\n", "\0", "\udcff", "x" * 300, "~", "-", "*"])


def context(tmp_path: Path, store: FakeStore) -> Context:
    config = tmp_path / "config.yaml"
    config.write_text("executablepath: /x\noptions:\n  url: s3://bucket\n")
    return Context(Streams(0, 1, 2), Log(str(tmp_path / "log")), "test", str(config), store)


def restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: list[str]) -> list[str]:
    """What lies anywhere below the test's folder, after a restore into a directory in its midst."""
    root = tmp_path / "above" / "hostile"
    root.mkdir(parents=True, exist_ok=True)
    store = FakeStore()
    store.objects = dict.fromkeys(keys, b"content")
    monkeypatch.setattr("os.path.abspath", lambda _: str(root))
    monkeypatch.setattr("fsspec_gp_plugin.keys.directory_prefix", lambda _: PREFIX)
    with suppress(PluginError):
        directories.restore_directory(context(tmp_path, store), str(root))
    found = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "config.yaml"]
    return [str(path) for path in found if root not in path.parents and tmp_path / "log" not in path.parents]


@pytest.mark.parametrize("name", ["../evil", "../../evil", "a/../../evil", "/tmp/evil", "a//b", "x\0y", "."])
def test_a_key_that_leads_elsewhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert restored(tmp_path, monkeypatch, [PREFIX + name]) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(pieces, min_size=1, max_size=5).map("/".join), min_size=1, max_size=4))
def test_no_key_is_written_outside_and_none_is_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    with monkeypatch.context() as patch:
        assert restored(tmp_path, patch, [PREFIX + name for name in names]) == []


def test_a_name_that_no_manifest_could_hold_is_refused_before_it_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsspec_gp_plugin.integrity.entry._LONGEST_NAME", 10)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "backups/20260101/20260101120000"
    folder.mkdir(parents=True)
    (folder / "eleven_long").write_text("x")
    store = FakeStore()
    with pytest.raises(PluginError, match=r"eleven_long: its name is too long"):
        directories.backup_directory(context(tmp_path, store), str(folder))
    assert store.objects == {}
