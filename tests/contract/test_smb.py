"""A file on an SMB share keeps its name until the last connection that has it open is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import Unreachable
from fsspec_gp_plugin.storage.open import open_store

if TYPE_CHECKING:
    from tests.servers.smb import Smb

KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000_16384"


def test_a_file_that_another_client_has_open_is_not_told_as_deleted(smb: Smb) -> None:
    ours, theirs = (open_store(f"{smb.url}/open", smb.options) for _ in range(2))
    try:
        written = theirs.begin(KEY)
        written.write(1, memoryview(b"data"))
        working = [one.key for one in ours.find("", unfinished=True)]
        assert len(working) == 1
        with pytest.raises(Unreachable, match="another client has it open"):
            ours.delete(working)
        written.abort()
        ours.delete(working)
        assert list(ours.find("", unfinished=True)) == []
    finally:
        ours.close()
        theirs.close()
