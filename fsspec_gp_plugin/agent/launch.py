"""Starts an agent: a setup hook launches it while it does its own work, or a data command in place of a dead one."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from .. import installation
from . import wire
from .registry import SUFFIX, read_runs

if TYPE_CHECKING:
    from ..config.loading import Config

STAND_IN = "--stand-in"
ATTEMPT = ".attempt"
_ATTEMPT_SECONDS = 10.0


class Launch:
    """An agent that is being started in the background."""

    def __init__(self, config: Config) -> None:
        """Start it. Raises OSError."""
        self._ready, write = os.pipe2(os.O_CLOEXEC)
        try:
            started = subprocess.Popen(
                _command(config),
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
            # It may outlive this process, which then ends without this thread; else nothing is left of it here.
            with suppress(RuntimeError):  # the system gives no more threads
                threading.Thread(target=started.wait, daemon=True).start()
        except BaseException:
            os.close(self._ready)
            raise
        finally:
            os.close(write)

    def wait(self, seconds: float) -> bool:
        """Wait until the agent is ready; returns whether it is within so many seconds. It never is if another process
        became the agent first.
        """
        poller = select.poll()
        poller.register(self._ready, select.POLLIN)
        return bool(poller.poll(max(0.0, seconds) * 1000)) and bool(os.read(self._ready, 16))

    def close(self) -> None:
        """Stop waiting for the agent."""
        os.close(self._ready)


def replace_dead_agent(config: Config) -> None:
    """Start another agent if this host has registered backups or restores, and the agent that served them is gone.

    A data command that runs without an agent calls this for the commands that follow; it waits for nothing. The new
    agent must keep nothing of this process, which may be a child of the database's server: a shell, which closes all
    descriptors, starts it in a session of its own and ends. Raises OSError or WireError.
    """
    try:
        directory = wire.open_directory(wire.home())
    except wire.WireError:
        return
    try:
        name = wire.socket_name()
        if (
            not read_runs(directory, name + SUFFIX)
            or _is_listening(directory, name)
            or not _may_attempt(directory, name)
        ):
            return
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *_command(config), STAND_IN],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            # The server's COPY statement may be of any length, and is nobody's business.
            env={name: value for name, value in os.environ.items() if name != "GP_QUERY_STRING"},
            umask=0o077,
            start_new_session=True,
            check=False,
        )
    finally:
        os.close(directory)


def _command(config: Config) -> list[str]:
    protocol, path = config.url.partition("://")[0], os.path.abspath(config.path)
    return [*installation.command(), "agent", "serve", str(config.agent_idle), protocol, path]


def _is_listening(directory: int, name: str) -> bool:
    """Whether an agent listens, even one that is too busy for this command."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1)
        try:
            connection.connect(wire.address(directory, name + wire.CONTROL))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
        return True


def _may_attempt(directory: int, name: str) -> bool:
    """Whether no process of this host has tried to start an agent lately; records that this one tries now."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    with suppress(BlockingIOError):
        fd = os.open(name + ATTEMPT, flags, 0o600, dir_fd=directory)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # An empty file was made just now, by this open().
            if os.fstat(fd).st_size and abs(time.time() - os.fstat(fd).st_mtime) < _ATTEMPT_SECONDS:
                return False
            os.pwrite(fd, b"\n", 0)
            return True
        finally:
            os.close(fd)
    return False
