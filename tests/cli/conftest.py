"""The hosts and targets of the protocol's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.storage.open import open_store
from tests.protocol.conftest import database, local, plugin, target
from tests.protocol.test_bad_input import read_only
from tests.protocol.test_least_privilege import anybody, bucket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import Store
    from tests.protocol.caller import Plugin

__all__ = ["anybody", "bucket", "database", "local", "plugin", "read_only", "target"]


@pytest.fixture
def store(local: Plugin, tmp_path: Path) -> Iterator[Store]:
    """The target of `local`, as the test looks at it."""
    del local
    made = open_store(f"file://{tmp_path}/disk", {})
    yield made
    made.close()
