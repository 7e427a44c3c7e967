"""Restores of large backups: each segment's hook looks for its own, at a cost that doesn't grow with the hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.errors import NotFound
from tests.recorded import CHAIN, recorded
from tests.unit.restore_host import Host, Store

if TYPE_CHECKING:
    from pathlib import Path

BY_GPBACKUP = "the target was compared with gpbackup's config file and table of contents"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Host(tmp_path)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three objects are many."""
    monkeypatch.setattr("fsspec_gp_plugin.protocol.restoring._FEW", 3)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("gone", ["own", "of the base"])
def test_each_segment_of_a_large_backup_looks_for_its_own(host: Host, gone: str) -> None:
    """Also of the backups that it builds upon; no hook lists all."""
    one = recorded(CHAIN[1] if gone == "of the base" else CHAIN[3])
    store = Store(*CHAIN)
    name = next(name for name in one.data if name.startswith("gpbackup_1_"))
    del store.objects[one.prefix + name]
    host.set_up(store, CHAIN[3])
    assert one.prefix not in store.listed
    store.listed.clear()
    host.set_up(store, CHAIN[3], "segment", "0")
    assert len(store.listed) == 3
    assert all("/gpbackup_0_" in prefix for prefix in store.listed)
    with pytest.raises(NotFound, match=f"1 of [0-9]+ objects is missing: .*{name}; {BY_GPBACKUP}"):
        host.set_up(store, CHAIN[3], "segment", "1")
    # Restored onto more segments, one of them has nothing of its own.
    host.set_up(store, CHAIN[3], "segment", "2")
    assert "onto fewer segments than there were, those of the others are not checked" in host.log()
