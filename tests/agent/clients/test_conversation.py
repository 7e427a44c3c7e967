"""What both clients and an agent say to each other, and what the caller sees of it."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

import fsspec_gp_plugin
from tests.agent.clients.installations import Limits, ended
from tests.agent.conftest import PATIENCE, descriptors, wait_until
from tests.agent.pipes import full_pipe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.agent.clients.installations import Caller
    from tests.agent.fake_agent import FakeAgent

GONE = b"fsspec_gp_plugin: backup_data: the agent ended before the command did; run it again\n"
SILENT = b"fsspec_gp_plugin: backup_data: the agent does not answer; run it again\n"


def test_the_agent_is_told_all_that_a_call_consists_of(caller: Caller, fake: FakeAgent, tmp_path: Path) -> None:
    caller.options = {"umask": 0o027, "cwd": tmp_path}
    # Arguments of any bytes, empty ones as well.
    words = ("restore_data_subset", "", "/b \udcff\n", "ü", "--helpful")
    process = caller.start(*words)
    with fake.accept() as conversation:
        request = conversation.take()
        conversation.say(b"E\0")
    assert ended(process) == (0, b"", b"")
    assert request.version == fsspec_gp_plugin.__version__
    assert (request.umask, request.cwd, request.arguments) == (0o027, str(tmp_path), list(words))
    given = {f"{name}={value}" for name, value in caller.environment.items() if name != "GP_QUERY_STRING"}
    # The launcher's shell adds some.
    added = {line for line in request.environment if re.match(r"(PWD|OLDPWD|SHLVL|_)=", line)}
    assert set(request.environment) - added == given
    assert not added or caller.client.kind == "python"


@pytest.mark.parametrize(
    "command", ["backup_data", "restore_data", "restore_data_subset", "backup_file", "restore_file"]
)
def test_data_and_files_are_for_the_agent(caller: Caller, fake: FakeAgent, command: str) -> None:
    process = caller.start(command, "/c.yaml", "/file")
    with fake.accept() as conversation:
        assert conversation.take().arguments == [command, "/c.yaml", "/file"]
        conversation.say(b"E\0")
    assert ended(process) == (0, b"", b"")


def test_the_agent_gets_the_callers_descriptors(caller: Caller, fake: FakeAgent) -> None:
    process = caller.start()
    assert process.stdin is not None
    process.stdin.write(b"to the agent")
    process.stdin.close()
    process.stdin = None
    with fake.accept() as conversation:
        conversation.take(keep=True)
        stdin, stdout, stderr = conversation.descriptors
        with open(stdin, "rb", closefd=False) as file:
            assert file.read() == b"to the agent"
        os.write(stdout, b"from the agent")
        os.write(stderr, b"a complaint\n")
        conversation.say(b"E\1")
    assert ended(process) == (1, b"from the agent", b"a complaint\n")


def test_the_exit_status_is_the_agents(caller: Caller, fake: FakeAgent) -> None:
    # All of them where a process costs little.
    for status in range(256) if caller.client.kind == "c" else (0, 1, 2, 3, 46, 69, 127, 128, 143, 255):
        process = caller.start()
        with fake.accept() as conversation:
            conversation.take()
            conversation.say(b"E" + bytes([status]))
            assert ended(process) == (status, b"", b"")


def test_answers_may_come_in_pieces(caller: Caller, fake: FakeAgent) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        conversation.take(b"T..E")
        conversation.wait_until_read()
        assert process.poll() is None
        conversation.say(b"\7")
        assert ended(process) == (7, b"", b"")


# A sign of life may be late by nearly as much on a busy machine.
SILENCE = 2.0
short_silence = pytest.mark.parametrize("limits", [Limits(silence=SILENCE)], ids=["2 s"])


@short_silence
def test_signs_of_life_keep_a_client_waiting(caller: Caller, fake: FakeAgent) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        conversation.take()
        until = time.monotonic() + 1.5 * SILENCE
        while time.monotonic() < until:
            conversation.say(b".")
            time.sleep(0.1)
        conversation.say(b"E\0")
    assert ended(process) == (0, b"", b"")


@short_silence
@pytest.mark.parametrize("last", [b"", b"E"], ids=repr)
def test_silence_is_told(caller: Caller, fake: FakeAgent, last: bytes) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        started = time.monotonic()
        conversation.take()
        conversation.say(last)
        assert ended(process) == (1, b"", SILENT)
        assert time.monotonic() - started > SILENCE - 0.1


@pytest.mark.parametrize("last", [b"", b"..", b"E", b"N", b"\0E\0"], ids=repr)
def test_an_agent_that_vanishes_or_makes_no_sense_is_told(caller: Caller, fake: FakeAgent, last: bytes) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        conversation.take()
        conversation.say(last)
    assert ended(process) == (1, b"", GONE)


@pytest.mark.parametrize("reader", ["gone", "full"])
def test_a_message_that_can_not_be_written_changes_nothing(caller: Caller, fake: FakeAgent, reader: str) -> None:
    if reader == "full":
        caller.first = "exec 2> /dev/full"
    process = caller.start()
    assert process.stderr is not None
    with fake.accept() as conversation:
        conversation.take()
        process.stderr.close()
        process.stderr = None
    assert ended(process)[0] == 1


@pytest.mark.parametrize("signum", [0, signal.SIGTERM], ids=["the agent is gone", "TERM"])
@pytest.mark.parametrize("limits", [Limits(last=0.4)], ids=["0.4 s"])
def test_a_message_that_nobody_reads_keeps_no_client(caller: Caller, fake: FakeAgent, signum: int) -> None:
    reads, full = full_pipe()
    caller.options = {"pass_fds": [full]}
    caller.first = f"exec 2> /proc/self/fd/{full}"
    process = caller.start()
    os.close(full)
    with fake.accept() as conversation:
        conversation.take()
        if signum:
            process.send_signal(signum)
            conversation.hear_interrupt()
            process.wait(PATIENCE)
    assert ended(process)[0] == (128 + signum if signum else 1)
    os.close(reads)


def test_while_it_waits_the_client_holds_nothing_but_what_it_handed_over(
    caller: Caller, fake: FakeAgent, tmp_path: Path
) -> None:
    """The server's files must not stay open, whose space a dropped table would not give back."""
    (tmp_path / "table").write_text("dropped")
    with open(tmp_path / "table") as inherited:
        caller.options = {"pass_fds": [inherited.fileno()]}
        process = caller.start()
    with fake.accept() as conversation:
        conversation.take()
        wait_until(lambda: kinds(process.pid) <= {"pipe", "socket", "anon_inode"})
        assert len(os.listdir(f"/proc/{process.pid}/fd")) <= 6
        conversation.say(b"E\0")
    assert ended(process) == (0, b"", b"")


def kinds(pid: int) -> set[str]:
    """The kinds of what a process has open; files by their paths."""
    return {leads.partition(":")[0] for leads in descriptors(pid)}
