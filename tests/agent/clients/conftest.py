"""Each client, called by a test, and an agent that does what the test says."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.agent.clients.installations import PATIENT, Caller, Client, Limits, install_c, install_python
from tests.agent.fake_agent import FakeAgent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def installations(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Limits], Client]:
    """An installation of a kind of client with certain limits, made once."""

    @cache
    def install(kind: str, limits: Limits) -> Client:
        folder = tmp_path_factory.mktemp("installation") / kind
        return install_python(folder, limits) if kind == "python" else install_c(folder, kind, limits)

    return install


@pytest.fixture
def limits() -> Limits:
    """What a test about them gives by parameter."""
    return PATIENT


@pytest.fixture(params=["python", "c", "sanitized"])
def client(request: pytest.FixtureRequest, limits: Limits, installations: Callable[[str, Limits], Client]) -> Client:
    """Each client, that in C also as one that ends with a report where it does what C leaves undefined."""
    return installations(request.param, limits)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def caller(client: Client, home: Path) -> Iterator[Caller]:
    client.told()
    caller = Caller(client, home)
    yield caller
    caller.close()
    assert not client.told(), "the call ran alone, too"


@pytest.fixture
def fake(client: Client, home: Path) -> Iterator[FakeAgent]:
    """An agent of this installation in this home."""
    agent = FakeAgent(home, client.bin)
    yield agent
    agent.close()
