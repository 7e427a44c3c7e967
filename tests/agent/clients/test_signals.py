"""A signal ends a call as soon as without an agent, and nothing is left half done."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.agent.clients.installations import CALL, Limits, ended
from tests.agent.conftest import CLIENTS
from tests.agent.fake_agent import PATIENCE, FakeAgent

if TYPE_CHECKING:
    from pathlib import Path

    from tests.agent.clients.installations import Caller

STOPPING = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
each_signal = pytest.mark.parametrize("signum", STOPPING, ids=lambda signum: signum.name)


def line(signum: signal.Signals) -> bytes:
    return f"fsspec_gp_plugin: backup_data: interrupted by {signum.name}\n".encode()


@each_signal
def test_the_agent_hears_of_it_and_ends_the_call(caller: Caller, fake: FakeAgent, signum: signal.Signals) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        conversation.take(keep=True)
        process.send_signal(signum)
        assert conversation.hear_interrupt() == signum
        os.write(conversation.descriptors[2], line(signum))
        conversation.release()
        conversation.say(b".E" + bytes([128 + signum]))
        assert ended(process) == (128 + signum, b"", line(signum))


LAST = 0.4


@each_signal
@pytest.mark.parametrize("limits", [Limits(last=LAST)], ids=["0.4 s"])
def test_an_agent_that_does_not_end_the_call_is_not_waited_for(
    caller: Caller, fake: FakeAgent, signum: signal.Signals
) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        conversation.take()
        started = time.monotonic()
        process.send_signal(signum)
        assert conversation.hear_interrupt() == signum
        assert ended(process) == (128 + signum, b"", line(signum))
        assert time.monotonic() - started > LAST - 0.1


@pytest.mark.parametrize("limits", [Limits(last=LAST)], ids=["0.4 s"])
@pytest.mark.parametrize(("signs", "pause"), [(1, 0.05), (10000, 0)], ids=["now and then", "without a pause"])
def test_an_agent_that_says_it_is_alive_is_not_waited_for_either(
    caller: Caller, fake: FakeAgent, signs: int, pause: float
) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        conversation.take()
        process.send_signal(signal.SIGTERM)
        assert conversation.hear_interrupt() == signal.SIGTERM
        deadline = time.monotonic() + PATIENCE / 4
        while process.poll() is None:
            assert time.monotonic() < deadline, "the client waits on"
            with suppress(OSError):  # it has just ended
                conversation.say(b"." * signs)
            time.sleep(pause)
        assert ended(process) == (128 + signal.SIGTERM, b"", line(signal.SIGTERM))


@pytest.mark.alone
@pytest.mark.parametrize("executable", CLIENTS.values(), ids=CLIENTS)
def test_two_seconds_after_a_signal_what_is_installed_has_ended(executable: Path, home: Path) -> None:
    """The agent does nothing about it."""
    agent = FakeAgent(home, executable.parent)
    environment, pipe = {"HOME": str(home), "PATH": os.environ["PATH"]}, subprocess.PIPE
    process = subprocess.Popen([executable, *CALL], env=environment, stdin=pipe, stdout=pipe, stderr=pipe)
    with process, agent.accept() as conversation:
        conversation.take()
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status, _, err = ended(process)
        assert time.monotonic() - started <= 2
    assert (status, err) == (128 + signal.SIGTERM, line(signal.SIGTERM))
    agent.close()


@each_signal
def test_a_command_that_is_done_when_the_signal_comes_is_done(
    caller: Caller, fake: FakeAgent, signum: signal.Signals
) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        conversation.take()
        process.send_signal(signum)
        conversation.hear_interrupt()
        conversation.say(b"E\0")
        assert ended(process) == (0, b"", b"")


def test_only_the_first_signal_counts(caller: Caller, fake: FakeAgent) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        conversation.take()
        process.send_signal(signal.SIGHUP)
        assert conversation.hear_interrupt() == signal.SIGHUP
        for signum in STOPPING * 2:
            process.send_signal(signum)
        for _ in range(2):  # which takes it twice around
            conversation.say(b".")
            conversation.wait_until_read()
        conversation.say(b"E\x81")
        assert conversation.hear() == b""
        assert ended(process) == (129, b"", b"")


def test_where_the_agent_vanishes_after_the_signal_the_call_ends_by_the_signal(caller: Caller, fake: FakeAgent) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        conversation.take()
        process.send_signal(signal.SIGTERM)
        conversation.hear_interrupt()
    assert ended(process) == (128 + signal.SIGTERM, b"", line(signal.SIGTERM))


@each_signal
@pytest.mark.parametrize("asked", [False, True], ids=["before the request", "after the request"])
def test_before_anything_is_handed_over_the_client_just_ends(
    caller: Caller, fake: FakeAgent, signum: signal.Signals, asked: bool
) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        if asked:
            conversation.request()
        process.send_signal(signum)
        assert ended(process) == (-signum, b"", b"")
        if asked:
            assert conversation.hear() == b""
    assert caller.client.told() == {}


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP], ids=lambda signum: signum.name)
def test_what_the_caller_ignores_is_ignored(caller: Caller, fake: FakeAgent, signum: signal.Signals) -> None:
    """gpbackup_helper does so with HUP to outlive its terminal."""
    caller.first = f"trap '' {signum.name[3:]}"
    process = caller.start()
    with fake.accept() as conversation:
        conversation.request()
        process.send_signal(signum)
        conversation.say(b"T")
        conversation.handed_over()
        process.send_signal(signum)
        for _ in range(2):  # which takes it twice around
            conversation.say(b".")
            conversation.wait_until_read()
        conversation.say(b"E\3")
        assert conversation.hear() == b""
    assert ended(process) == (3, b"", b"")


def test_a_term_that_the_caller_ignores_counts_from_where_the_agent_has_the_call(
    caller: Caller, fake: FakeAgent
) -> None:
    caller.first = "trap '' TERM"
    process = caller.start()
    with fake.accept() as conversation:
        process.send_signal(signal.SIGTERM)
        conversation.take()
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert conversation.hear_interrupt() == signal.SIGTERM
        conversation.say(b"E\x8f")
        assert ended(process) == (143, b"", b"")


@each_signal
@pytest.mark.parametrize("early", [True, False], ids=["before", "after"])
def test_what_the_caller_blocks_counts_all_the_same(
    caller: Caller, fake: FakeAgent, signum: signal.Signals, early: bool
) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        process = caller.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with fake.accept() as conversation:
        if early:
            process.send_signal(signum)
        conversation.take()
        if not early:
            process.send_signal(signum)
        assert conversation.hear_interrupt() == signum
        conversation.say(b"E\x85")
        assert ended(process) == (0x85, b"", b"")


@pytest.mark.parametrize("limits", [Limits(silence=2)], ids=["2 s"])
def test_a_client_that_is_stopped_for_long_goes_on(caller: Caller, fake: FakeAgent) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        conversation.take()
        process.send_signal(signal.SIGSTOP)
        conversation.say(b".")
        time.sleep(2.2)
        process.send_signal(signal.SIGCONT)
        conversation.say(b"E\0")
        assert ended(process) == (0, b"", b"")
