"""Each client, called by a test, and an agent that does what the test says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.agent.clients.installations import Caller, Client, install_c, install_python
from tests.agent.fake_agent import FakeAgent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session", params=["python", "c", "sanitized"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Each client, that in C also as one that ends with a report where it does what C leaves undefined."""
    folder = tmp_path_factory.mktemp("installation") / str(request.param)
    if request.param == "python":
        return install_python(folder)
    return install_c(folder, request.param)


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
