"""The hosts and targets of the protocol's tests."""

from __future__ import annotations

from tests.protocol.conftest import database, local, plugin, target
from tests.protocol.test_bad_input import read_only
from tests.protocol.test_least_privilege import anybody, bucket

__all__ = ["anybody", "bucket", "database", "local", "plugin", "read_only", "target"]
