"""Nothing is the agent's before it touched it: until then the client runs the call by itself, and files at any time."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.agent.clients.installations import Limits, ended

if TYPE_CHECKING:
    from tests.agent.clients.installations import Caller
    from tests.agent.fake_agent import FakeAgent

FILE = "/backups/20260102/20260102030405/gpbackup_20260102030405_toc.yaml"
HOOK = ("setup_plugin_for_backup", "/c.yaml", "/backups/20260102/20260102030405", "master")


@pytest.mark.parametrize("said", [b"", b"N", b".", b"E", b"\0"], ids=repr)
def test_a_call_that_the_agent_has_not_begun_runs_alone(caller: Caller, fake: FakeAgent, said: bytes) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        conversation.take(begin=False)
        conversation.say(said)
    caller.ran_alone(process)


def test_one_whose_descriptors_the_agent_never_took_runs_alone(caller: Caller, fake: FakeAgent) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        conversation.request()
        conversation.say(b"T")
        conversation.wait_for_word()  # which it does not read
    caller.ran_alone(process)


@pytest.mark.parametrize("limits", [Limits(silence=0.3)], ids=["0.3 s"])
def test_an_agent_that_says_nothing_can_not_begin_after_the_client_has(caller: Caller, fake: FakeAgent) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        conversation.take(begin=False)
        caller.ran_alone(process)
        assert not conversation.begins()


def test_hooks_that_the_agent_has_not_begun_run_alone(caller: Caller, fake: FakeAgent) -> None:
    process = caller.start(*HOOK)
    with fake.accept() as conversation:
        conversation.take(begin=False)
    caller.ran_alone(process, *HOOK)


@pytest.mark.parametrize("command", ["backup_file", "restore_file"])
@pytest.mark.parametrize("said", [b"", b"..", b"E", b"N"], ids=repr)
def test_a_file_is_begun_anew_wherever_the_agent_has_ended(
    caller: Caller, fake: FakeAgent, command: str, said: bytes
) -> None:
    process = caller.start(command, "/c.yaml", FILE)
    with fake.accept() as conversation:
        conversation.take()
        conversation.say(said)
    caller.ran_alone(process, command, "/c.yaml", FILE)


@pytest.mark.parametrize("limits", [Limits(silence=2)], ids=["2 s"])
def test_a_file_is_begun_anew_where_the_agent_does_not_answer(caller: Caller, fake: FakeAgent) -> None:
    words = ("restore_file", "/c.yaml", FILE)
    process = caller.start(*words)
    with fake.accept() as conversation:
        conversation.take()
        caller.ran_alone(process, *words)


def test_a_file_is_not_begun_anew_after_a_signal(caller: Caller, fake: FakeAgent) -> None:
    process = caller.start("backup_file", "/c.yaml", FILE)
    with fake.accept() as conversation:
        conversation.take()
        process.send_signal(signal.SIGTERM)
        assert conversation.hear_interrupt() == signal.SIGTERM
    told = b"fsspec_gp_plugin: backup_file: interrupted by SIGTERM\n"
    assert ended(process) == (128 + signal.SIGTERM, b"", told)


@pytest.mark.parametrize("words", [("restore_data", "/c.yaml", "/file"), HOOK], ids=lambda words: words[0])
def test_what_the_agent_has_begun_does_not_run_twice(caller: Caller, fake: FakeAgent, words: tuple[str, ...]) -> None:
    process = caller.start(*words)
    with fake.accept() as conversation:
        conversation.take()
    status, out, err = ended(process)
    assert (status, out) == (1, b"")
    assert err == f"fsspec_gp_plugin: {words[0]}: the agent ended before the command did; run it again\n".encode()
