"""What can't hold backups is told so, before anything is sent."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from fsspec_gp_plugin.errors import ConfigError, StorageError
from fsspec_gp_plugin.storage.files.open import REASONS
from fsspec_gp_plugin.storage.open import open_store

if TYPE_CHECKING:
    from pathlib import Path


def test_an_archive_is_for_restore_only(tmp_path: object) -> None:
    store = open_store("zip://some/where", {"fo": f"{tmp_path}/a.zip", "mode": "w"})
    with pytest.raises(StorageError, match="zip:// is for restore only: an archive") as caught:
        store.put("backups/20260101/20260101120000/a", memoryview(b"x"))
    assert "\n" not in str(caught.value)
    store.close()


def test_the_reasons_are_of_protocols_that_fsspec_knows() -> None:
    import fsspec

    assert set(REASONS) <= set(fsspec.available_protocols())


@pytest.mark.parametrize(("protocol", "module", "extra"), [("sftp", "paramiko", "sftp"), ("smb", "smbclient", "smb")])
def test_a_missing_package_is_named_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, protocol: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"fsspec.implementations.{protocol}", raising=False)
    with pytest.raises(ConfigError, match=rf"install fsspec_gp_plugin\[{extra}\] into"):
        open_store(f"{protocol}://host/dir/dir", {})


@pytest.mark.parametrize("protocol", ["blockcache", "cached", "filecache", "simplecache"])
def test_a_cache_is_refused(protocol: str, tmp_path: Path) -> None:
    """What is verified, or restored, would be what this host has kept, whatever became of the store."""
    with pytest.raises(ConfigError, match=f"{protocol}:// reads copies that it keeps on this host") as caught:
        open_store(f"{protocol}://{tmp_path}/x", {"target_protocol": "file", "cache_storage": f"{tmp_path}/cache"})
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


class KeepsProtocols(MemoryFileSystem):  # type: ignore[misc]
    """As some filesystems do that were never called by a URL."""

    protocol = "keeps"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path


def test_a_filesystem_that_leaves_the_protocol_in_paths_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = sys.modules["fsspec.registry"]
    monkeypatch.setitem(registry.known_implementations, "keeps", {})
    monkeypatch.setitem(registry._registry, "keeps", KeepsProtocols)
    with pytest.raises(
        ConfigError, match="url 'keeps://backups/x': the filesystem of keeps:// does not take a"
    ) as caught:
        open_store("keeps://backups/x", {})
    assert "\n" not in str(caught.value)


def test_only_filesystems_with_something_of_their_own_here_are_tested(tmp_path: Path) -> None:
    """Of the others nobody knows whether they keep what they take."""
    tested = {
        url: open_store(url, options).capabilities.tested
        for url, options in (
            (f"file://{tmp_path}", {}),
            ("webhdfs://host/x", {}),
            ("https://host/x", {}),
            ("memory://x", {}),
            ("dir://x", {"path": str(tmp_path), "target_protocol": "file"}),
        )
    }
    assert [url.partition(":")[0] for url, is_tested in tested.items() if not is_tested] == ["memory", "dir"]
