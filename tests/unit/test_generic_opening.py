"""What can't hold backups is told so, before anything is sent."""

from __future__ import annotations

import sys

import pytest

from fsspec_gp_plugin.errors import ConfigError, StorageError
from fsspec_gp_plugin.storage.generic.read_only import REASONS
from fsspec_gp_plugin.storage.opening import open_store


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
