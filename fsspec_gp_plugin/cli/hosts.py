"""Runs one shell line on many hosts at once, by ssh or a command that is called like ssh."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from ..errors import LocalFileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

SSH = "ssh"
# Options added to those of the user: ssh never asks a question, reports a host that is off in seconds, and one that
# goes away within a minute.
_PATIENCE = ("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=15", "ServerAliveCountMax=4")
# The status of ssh itself: the host can't be reached, or the connection broke.
UNREACHED = 255
TOO_LONG = 124
_AT_ONCE = 32


@dataclass(frozen=True)
class Result:
    """How the line ended on one host; `status` is negative if a signal ended ssh."""

    host: str
    status: int
    out: str
    err: str

    @property
    def reason(self) -> str:
        """Why the line failed, in one line."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.status}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name hosts, and how to reach them."""
    parser.add_argument("--hosts", metavar="A,B,…", help="host names")
    parser.add_argument("--hostfile", metavar="FILE", help="a file with one host name a line; # starts a comment")
    parser.add_argument(
        "--ssh",
        metavar="COMMAND",
        default=SSH,
        type=_command,
        help="called as COMMAND HOST LINE, such as 'ssh -p 2222'",
    )


def _command(text: str) -> str:
    try:
        if shlex.split(text):
            return text
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a command: {error}") from None
    raise argparse.ArgumentTypeError("expected a command")


def hosts_of(arguments: argparse.Namespace) -> list[str]:
    """The hosts named in the arguments, each once; raises UsageError if there is none, or a name is invalid."""
    names = (arguments.hosts or "").split(",")
    if arguments.hostfile is not None:
        try:
            lines = Path(arguments.hostfile).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"--hostfile {arguments.hostfile} can't be read: {getattr(error, 'strerror', error)}"
            ) from error
        names += [line.partition("#")[0] for line in lines]
    hosts = list(dict.fromkeys(filter(None, (host.strip() for host in names))))
    if not hosts:
        raise UsageError("no hosts are given; use --hosts A,B,… or --hostfile FILE with one host a line")
    for host in hosts:
        # A name that begins with a dash would be an option of ssh.
        if not re.fullmatch(r"[A-Za-z0-9_.@:\[\]%][A-Za-z0-9_.@:\[\]%-]*", host):
            raise UsageError(f"{host!r} is not a host name")
    return hosts


def run_on(
    hosts: Sequence[str], line: str, stdin: bytes | Path = b"", ssh: str = SSH, *, longest: float | None = None
) -> list[Result]:
    """Run a shell line on all hosts; `stdin` is what it reads, or the file that it reads from.
    A line that takes longer than `longest` seconds is ended; its status is TOO_LONG.

    Results come in the order of the hosts, when all have ended. A host that can't be reached has the status UNREACHED.
    An interruption ends all lines.
    """
    command = shlex.split(ssh)
    if os.path.basename(command[0]) == "ssh":
        command += (word for option in _PATIENCE for word in ("-o", option))
    started: set[subprocess.Popen[bytes]] = set()
    lock = Lock()
    ended = False

    def on(host: str) -> Result:
        with ExitStack() as stack:
            source = stack.enter_context(open(stdin, "rb")) if isinstance(stdin, Path) else subprocess.PIPE
            with lock:
                if ended:
                    return Result(host, UNREACHED, "", "interrupted")
                process = subprocess.Popen(
                    [*command, host, line], stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE
                )
                started.add(process)
            try:
                out, err = process.communicate(stdin if isinstance(stdin, bytes) else None, longest)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                return Result(host, TOO_LONG, "", f"no answer within {longest:.0f} s; check the host itself")
            finally:
                with lock:
                    started.discard(process)
        return Result(host, process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))

    pool = ThreadPoolExecutor(min(_AT_ONCE, len(hosts) or 1))
    try:
        return list(pool.map(on, hosts))
    except OSError as error:
        raise LocalFileError(f"can't run {command[0]}: {error.strerror}") from error
    finally:
        with lock:
            ended = True
            for process in started:
                process.terminate()
        pool.shutdown()
