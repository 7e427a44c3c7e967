"""Who needs the agent: the setup hooks start it and say for which backup, the cleanup hooks end it when none is left.

It is started here and nowhere else: in a data call it would keep the database server's files, its directory and nice
value. Nothing that goes wrong with it fails a hook: without the agent each command does its own work.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

from .. import __version__, installation, keys
from . import wire
from .environment import digest
from .server import CONTROL

if TYPE_CHECKING:
    from ..config.loading import Config
    from ..protocol.context import Context

_START_SECONDS = 20.0
_END_SECONDS = 5.0


def after_hook(context: Context, directory: str, scope: str) -> None:
    """What a hook that succeeded means for the agent of this host."""
    if scope == "segment" or not context.config.agent:
        return
    hook, _, kind = context.command.partition("_plugin_for_")
    timestamp = keys.backup_of_directory(directory)[1]
    user = f"{kind} {timestamp} {'segment_host' if scope == 'segment_host' else 'coordinator'}"
    try:
        if hook == "setup":
            _use(context, user)
        else:
            ask({"do": "release", "user": user})
    except (OSError, ValueError, wire.WireError) as error:
        context.log.verbose(f"no agent on this host: {error}")


def ask(question: dict[str, str]) -> dict[str, Any]:
    """The agent's answer; OSError, WireError or ValueError where there is no agent, or one that does not answer."""
    directory = wire.open_directory(wire.home())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(3)
            line.connect(wire.address(directory, wire.socket_name() + CONTROL))
            if wire.peer(line)[1] != os.geteuid():
                raise wire.WireError("the socket is another user's")
            line.sendall(json.dumps(question).encode() + b"\n")
            answer: dict[str, Any] = json.loads(line.makefile("rb").readline(1 << 20))
            return answer
    finally:
        os.close(directory)


def _use(context: Context, user: str) -> None:
    ours = {"version": __version__, "environment": digest(os.environ)}
    try:
        found = ask({"do": "use", "user": user, **ours})
        if ours.items() <= found.items() and not found["ending"]:
            return
        if found["users"] or found["streams"]:
            context.log.info("the agent on this host serves another version or environment: this backup does without")
            return
        ask({"do": "stop"})
        _wait_until_gone()
    except (OSError, ValueError, wire.WireError):
        pass  # there is none
    _start(context.config)
    ask({"do": "use", "user": user, **ours})


def _wait_until_gone() -> None:
    end = time.monotonic() + _END_SECONDS
    while time.monotonic() < end:
        try:
            ask({"do": "status"})
        except FileNotFoundError:
            time.sleep(0.2)  # its lock goes a moment later
            return
        except (OSError, ValueError, wire.WireError):
            pass
        time.sleep(0.1)


def _start(config: Config) -> None:
    protocol = config.url.partition("://")[0]
    read, write = os.pipe()
    try:
        subprocess.Popen(
            [*installation.command(), "agent", "serve", str(config.agent_idle), protocol],
            stdin=subprocess.DEVNULL,
            stdout=write,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        ).returncode = 0  # it outlives us, which subprocess need not complain of
    finally:
        os.close(write)
    poller = select.poll()
    poller.register(read, select.POLLIN)
    try:
        if not poller.poll(_START_SECONDS * 1000) or not os.read(read, 16):
            raise wire.WireError("it did not start; the log may say why")
    finally:
        os.close(read)
