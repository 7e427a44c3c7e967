"""What the agent can't or won't take runs as if there were none: the call starts with all as the caller left it."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.agent.clients.installations import Limits, ended
from tests.agent.conftest import descriptors, state, wait_until
from tests.agent.fake_agent import FakeAgent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.agent.clients.installations import Caller
    from tests.agent.fake_agent import Request


@pytest.mark.parametrize(
    "words",
    [
        ("delete_backup", "/c.yaml", "20260102030405"),
        ("backup_dat", "/c.yaml", "/file"),
        ("", "/c.yaml", "/file"),
        ("--version",),
        ("backup_data",),
        ("backup_data", "/c.yaml"),
        ("backup_data", "--help", "/file"),
        ("restore_data", "/c.yaml", "/file", "-h"),
    ],
    ids=" ".join,
)
def test_other_calls_are_not_for_the_agent(caller: Caller, fake: FakeAgent, words: tuple[str, ...]) -> None:
    caller.ran_alone(caller.start(*words), *words)
    assert not fake.was_called()


@pytest.mark.parametrize("named", [None, "", "home", "/nowhere"])
def test_without_a_home_there_is_no_agent(caller: Caller, fake: FakeAgent, named: str | None) -> None:
    caller.options = {"cwd": caller.home.parent}
    caller.environment.pop("HOME")
    if named is not None:
        caller.environment["HOME"] = named
    caller.ran_alone(caller.start())
    assert not fake.was_called()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_stay_closed(caller: Caller, fake: FakeAgent, closed: str) -> None:
    caller.first = f"exec {closed}"
    caller.ran_alone(caller.start())
    assert not fake.was_called()


def test_a_directory_as_standard_input_is_the_launchers_matter(caller: Caller, fake: FakeAgent) -> None:
    """It says so in one line, where whoever reads would say more."""
    caller.first = "exec < ."
    status, _, err = ended(caller.start())
    assert status != 0
    assert b"directory" in err
    assert not fake.was_called()


def test_a_directory_that_is_gone_is_no_place_to_name(caller: Caller, fake: FakeAgent, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    caller.first = f"mkdir -p {tmp_path}/gone; cd {tmp_path}/gone; rmdir {tmp_path}/gone"
    caller.ran_alone(caller.start())
    assert not fake.was_called()


def test_without_an_agent_it_runs_alone(caller: Caller) -> None:
    caller.ran_alone(caller.start())
    (caller.home / ".fsspec_gp_plugin/agent").mkdir(parents=True, mode=0o700)
    caller.ran_alone(caller.start())


def test_an_agent_that_was_killed_is_none(caller: Caller, fake: FakeAgent) -> None:
    fake.close()
    assert fake.path.is_socket()
    caller.ran_alone(caller.start())


@pytest.mark.parametrize("mode", [0o740, 0o701], ids=oct)
def test_a_directory_that_others_may_use_is_not_trusted(caller: Caller, fake: FakeAgent, mode: int) -> None:
    fake.folder.chmod(mode)
    caller.ran_alone(caller.start())
    assert not fake.was_called()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_not_trusted(caller: Caller, fake: FakeAgent) -> None:
    os.chown(fake.folder, 65534, 65534)
    caller.ran_alone(caller.start())
    assert not fake.was_called()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can listen as another user")
def test_a_socket_of_another_user_is_not_trusted(caller: Caller, fake: FakeAgent) -> None:
    """What it is told, the environment above all, is nobody else's business."""
    os.seteuid(65534)  # the kernel notes who listens, not who made the socket
    try:
        fake.listener.listen(8)
    finally:
        os.seteuid(0)
    caller.ran_alone(caller.start())
    with fake.accept() as conversation:
        assert conversation.hear() == b""


@pytest.mark.parametrize("place", ["link", "file"])
def test_what_is_in_the_place_of_the_directory_is_not_trusted(caller: Caller, fake: FakeAgent, place: str) -> None:
    fake.folder.rename(fake.folder.with_name("elsewhere"))
    if place == "link":
        fake.folder.symlink_to("elsewhere")
    else:
        fake.folder.touch(mode=0o700)
    caller.ran_alone(caller.start())
    assert not fake.was_called()


def test_a_file_in_the_place_of_the_socket_is_no_agent(caller: Caller, fake: FakeAgent) -> None:
    fake.path.unlink()
    fake.path.write_text("not a socket")
    caller.ran_alone(caller.start())


@pytest.mark.parametrize("answer", [b"N", b"E\0", b""], ids=repr)
def test_an_agent_may_refuse(caller: Caller, fake: FakeAgent, answer: bytes) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        conversation.request()
        conversation.say(answer)
    caller.ran_alone(process)


@pytest.mark.parametrize("moment", ["at once", "after the request", "with T"])
def test_an_agent_may_vanish_before_anything_is_handed_over(caller: Caller, fake: FakeAgent, moment: str) -> None:
    process = caller.start()
    with fake.accept() as conversation:
        if moment != "at once":
            conversation.request()
        if moment == "with T":
            # Stopped, the client sees both together.
            os.kill(process.pid, signal.SIGSTOP)
            conversation.say(b"T")
    os.kill(process.pid, signal.SIGCONT)
    caller.ran_alone(process)


@pytest.mark.parametrize("limits", [Limits(answer=1)], ids=["1 s"])
@pytest.mark.parametrize("reads", [True, False], ids=["that reads", "that does not read"])
def test_a_silent_agent_is_not_waited_for(caller: Caller, fake: FakeAgent, reads: bool) -> None:
    # More than the kernel keeps for a socket that nobody reads.
    caller.environment |= {f"LONG{n}": "x" * 60000 for n in range(4)}
    started = time.monotonic()
    process = caller.start()
    with fake.accept() as conversation:
        if reads:
            conversation.request()
        caller.ran_alone(process)
    assert time.monotonic() - started > 0.9


@pytest.fixture
def crowd(caller: Caller) -> Iterator[tuple[FakeAgent, list[socket.socket]]]:
    """An agent with a full queue, and those who stand in it."""
    agent = FakeAgent(caller.home, caller.client.bin, backlog=0)
    queue: list[socket.socket] = []
    with ExitStack() as stack:
        stack.callback(agent.close)
        while True:
            queue.append(stack.enter_context(socket.socket(socket.AF_UNIX)))
            queue[-1].setblocking(False)
            try:
                queue[-1].connect(agent.address)
            except BlockingIOError:
                break
        yield agent, queue[:-1]


def test_a_full_queue_is_waited_for(caller: Caller, crowd: tuple[FakeAgent, list[socket.socket]]) -> None:
    agent, queue = crowd
    process = caller.start()
    wait_until(lambda: caller_stands_in_the_queue(process.pid, agent))
    for _ in queue:
        agent.accept().vanish()
    with agent.accept() as conversation:
        conversation.take()
        conversation.say(b"E\0")
    assert ended(process) == (0, b"", b"")


def caller_stands_in_the_queue(pid: int, agent: FakeAgent) -> bool:
    """It has found the directory, and sleeps."""
    return str(agent.folder) in descriptors(pid) and state(pid) == "S"


@pytest.mark.parametrize("limits", [Limits(answer=1)], ids=["1 s"])
def test_a_queue_that_stays_full_is_no_agent(caller: Caller, crowd: tuple[FakeAgent, list[socket.socket]]) -> None:
    assert crowd
    caller.ran_alone(caller.start())


def test_a_call_as_long_as_allowed_is_for_the_agent_and_a_longer_one_is_not(caller: Caller, fake: FakeAgent) -> None:
    def request() -> Request:
        process = caller.start()
        with fake.accept() as conversation:
            request = conversation.take()
            conversation.say(b"E\0")
        assert ended(process) == (0, b"", b"")
        return request

    caller.environment |= {f"LONG{n}": "x" * 80000 for n in range(3)} | {"REST": ""}
    caller.environment["REST"] = "x" * (262144 - request().size)
    assert request().size == 262144
    caller.environment["REST"] += "x"
    caller.ran_alone(caller.start())
    assert not fake.was_called()
    # That doesn't count: it may be as long as it likes.
    caller.environment["REST"] = caller.environment["REST"][:-1]
    caller.environment["GP_QUERY_STRING"] = "x" * 100_000
    assert request().size == 262144


@pytest.mark.parametrize("signals", ["HUP", "INT TERM USR1"])
def test_ignored_signals_stay_ignored(caller: Caller, fake: FakeAgent, signals: str) -> None:
    caller.first = f"trap '' {signals}"
    process = caller.start()
    with fake.accept() as conversation:
        conversation.request()
    caller.ran_alone(process)


@pytest.mark.parametrize("moment", ["before it is asked", "before it answers", "as it answers"])
def test_surroundings_stay(caller: Caller, fake: FakeAgent, tmp_path: Path, moment: str) -> None:
    """Umask, directory, descriptors, blocked signals; also where the client was about to hand over."""
    with open("/dev/null") as file:
        caller.options = {"umask": 0o037, "cwd": tmp_path, "pass_fds": [file.fileno()]}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
        try:
            process = caller.start()
            with fake.accept() as conversation:
                if moment != "before it is asked":
                    conversation.request()
                if moment == "as it answers":
                    os.kill(process.pid, signal.SIGSTOP)
                    conversation.say(b"T")
            os.kill(process.pid, signal.SIGCONT)
            caller.ran_alone(process)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_home_with_a_long_path_is_as_good(caller: Caller, tmp_path: Path) -> None:
    caller.home = tmp_path / ("h" * 200) / ("o" * 200)
    caller.home.mkdir(parents=True)
    caller.environment["HOME"] = str(caller.home)
    agent = FakeAgent(caller.home, caller.client.bin)
    process = caller.start()
    with agent.accept() as conversation:
        conversation.take()
        conversation.say(b"E\0")
    assert ended(process) == (0, b"", b"")
    agent.close()


def test_a_link_to_the_executable_finds_the_same_agent(caller: Caller, fake: FakeAgent, tmp_path: Path) -> None:
    (tmp_path / "plugin").symlink_to(caller.client.executable)
    process = caller.start(command=[str(tmp_path / "plugin")])
    with fake.accept() as conversation:
        conversation.take()
        conversation.say(b"E\0")
    assert ended(process) == (0, b"", b"")
    caller.ran_alone(caller.start("--version", command=[str(tmp_path / "plugin")]), "--version")
