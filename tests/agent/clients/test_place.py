"""Each client tells which files, network and users it sees."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.agent.environment import place
from tests.agent.clients.installations import ended

if TYPE_CHECKING:
    from tests.agent.clients.installations import Caller
    from tests.agent.fake_agent import FakeAgent


def told(caller: Caller, fake: FakeAgent, *command: str) -> list[str]:
    """What a client that is started so tells of its place."""
    process = caller.start(command=[*command, str(caller.client.executable)])
    with fake.accept() as conversation:
        request = conversation.take()
        conversation.say(b"E\0")
    assert ended(process) == (0, b"", b"")
    return request.place.split(" ")


def test_it_is_that_of_its_caller(caller: Caller, fake: FakeAgent) -> None:
    assert told(caller, fake) == place().split(" ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can always make namespaces")
@pytest.mark.parametrize(
    ("flags", "part"), [(("-m",), 0), (("-n",), 1), (("-U", "-r"), 2)], ids=["mount", "net", "user"]
)
def test_another_namespace_is_another_place(caller: Caller, fake: FakeAgent, flags: tuple[str, ...], part: int) -> None:
    ours, theirs = place().split(" "), told(caller, fake, "unshare", *flags)
    assert [number for number in range(5) if ours[number] != theirs[number]] == [part]
