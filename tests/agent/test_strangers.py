"""Whoever talks to the agent's sockets, and whatever is said there, does it no harm."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin import __version__
from fsspec_gp_plugin.agent import hook_actions, wire
from fsspec_gp_plugin.agent.wire import CONTROL
from tests.agent.conftest import served
from tests.agent.played_client import PlayedClient, request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.protocol.agents import Agent
    from tests.protocol.caller import Plugin

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


def test_garbage_on_its_sockets_does_no_harm(local: Plugin, agent: Agent) -> None:
    directory = wire.open_directory(agent.home)
    for name in (wire.socket_name(), wire.socket_name() + CONTROL):
        for words in (
            b"",
            b"\0" * 100,
            b"GET / HTTP/1.0\r\n\r\n",
            b"FGP2\xff\xff\xff\xff",
            b"FGP2\x04\0\0\0a\0b\0",
            b"{}\n",
        ):
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(wire.address(directory, name))
                line.sendall(words)
    os.close(directory)
    local.run("backup_data", local.database.table(), stdin=b"rows").succeeded()
    assert served(agent) == 1


def test_a_client_that_says_nothing_holds_up_nobody(local: Plugin, agent: Agent) -> None:
    directory = wire.open_directory(agent.home)
    silent = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for line in silent:
        line.connect(wire.address(directory, wire.socket_name()))
    os.close(directory)
    local.run("backup_data", local.database.table(), stdin=b"rows").succeeded()
    assert served(agent) == 1  # a client that had to wait would have done without
    for line in silent:
        line.close()


# As another user, and as its own: connects to one of the agent's sockets, says something and tells what comes back.
PROGRAM = """
import os, socket, sys
place, name, message, user = sys.argv[1:]
os.chdir(place)
os.setgroups([]); os.setgid(int(user)); os.setuid(int(user))
line = socket.socket(socket.AF_UNIX)
line.connect(name)
try:
    line.sendall(bytes.fromhex(message))
    sys.stdout.buffer.write(line.recv(1))
except ConnectionError:
    pass
"""


@as_root
def test_another_user_is_not_served(local: Plugin, agent: Agent) -> None:
    """Not even where the directory and the sockets let that user in; neither a command nor a question."""
    for path in (local.database.folder, *local.database.folder.parents):
        if path.stat().st_mode & 0o001 == 0:
            path.chmod(path.stat().st_mode | 0o011)
    place = Path(agent.home) / ".fsspec_gp_plugin" / "agent"
    for path in (Path(agent.home), place.parent, place):
        path.chmod(0o711)
    command = request("backup_data", str(local.config), local.database.table(), environment={"HOME": agent.home})
    answers = []
    for name, message in ((wire.socket_name(), command), (wire.socket_name() + CONTROL, b'{"do": "status"}\n')):
        (place / name).chmod(0o777)
        for user in ("65534", "0"):
            line = [sys.executable, "-I", "-S", "-c", PROGRAM, str(place), name, message.hex(), user]
            done = subprocess.run(line, env={}, capture_output=True, check=False)
            answers.append((done.returncode, done.stdout))
    place.chmod(0o700)
    assert answers == [(0, b""), (0, b"T"), (0, b""), (0, b"{")]


@pytest.fixture
def strangers_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """In the place where hooks and people ask the agent, one on which another user listens."""
    monkeypatch.setenv("HOME", str(tmp_path))
    directory = wire.open_directory(str(tmp_path), make=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(wire.address(directory, wire.socket_name() + CONTROL))
        os.seteuid(65534)  # the kernel notes who listens, not who made the socket
        try:
            listener.listen()
        finally:
            os.seteuid(0)
        yield listener
    os.close(directory)


@as_root
def test_another_users_agent_is_not_asked(strangers_socket: socket.socket) -> None:
    with pytest.raises(wire.WireError, match="another user's"):
        hook_actions.send_request({"do": "stop"})
    line, _ = strangers_socket.accept()
    with line:
        assert line.recv(100) == b""


@as_root
def test_another_users_directory_is_not_used(local: Plugin, agent: Agent) -> None:
    place = Path(agent.home) / ".fsspec_gp_plugin" / "agent"
    path = local.database.table()
    local.run("backup_data", path, stdin=b"rows").succeeded()
    os.chown(place, 65534, 65534)
    assert local.run("restore_data", path).succeeded().out == b"rows"
    os.chown(place, 0, 0)
    assert served(agent) == 1
    assert local.run("restore_data", path).succeeded().out == b"rows"
    assert served(agent) == 2


@pytest.mark.parametrize(
    ("version", "command", "answer"),
    [(__version__, "backup_data", b"T"), ("9.9.9", "backup_data", b"N"), (__version__, "delete_backup", b"N")],
)
def test_clients_of_other_versions_and_other_commands_are_refused(
    local: Plugin, agent: Agent, version: str, command: str, answer: bytes
) -> None:
    directory = wire.open_directory(agent.home)
    words = (command, str(local.config), local.database.table())
    client = PlayedClient(wire.address(directory, wire.socket_name()))
    assert client.ask(request(*words, environment={"HOME": agent.home}, version=version)) == answer
    client.close()
    os.close(directory)
