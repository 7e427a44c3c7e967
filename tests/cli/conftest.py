"""The hosts and targets of the protocol's tests."""

from __future__ import annotations

from tests.protocol.conftest import database, local, plugin, target

__all__ = ["database", "local", "plugin", "target"]
