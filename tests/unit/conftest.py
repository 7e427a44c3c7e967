"""What several unit tests share. None of them knows the secrets of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes import Alarm, FakeStore
from tests.isolation import known_secrets, own_home
from tests.unit.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["known_secrets", "own_home"]


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    """An alarm that the test may ring."""
    made = Alarm()
    yield made
    made.close()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A target and its replica, both empty, on a host whose home is the test's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return Site(tmp_path, FakeStore(), FakeStore())
