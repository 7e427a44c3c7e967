"""The hosts and targets of the protocol's tests."""

from __future__ import annotations

from tests.protocol.conftest import database, local, plugin, target
from tests.protocol.test_bad_input import read_only

__all__ = ["database", "local", "plugin", "read_only", "target"]
