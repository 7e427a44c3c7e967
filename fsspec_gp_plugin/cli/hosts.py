"""One shell line on many hosts at once, by ssh or what is called like it."""

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
# Of ssh, behind what is asked for: never a question; a host that is off is told in seconds, one that goes away within
# a minute.
_PATIENCE = ("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=15", "ServerAliveCountMax=4")
# Of ssh itself: the host can't be reached, or the line was cut.
UNREACHED = 255
TOO_LONG = 124
_AT_ONCE = 32


@dataclass(frozen=True)
class Result:
    """How a line ended on one host; `status` is negative when a signal ended the transport."""

    host: str
    status: int
    out: str
    err: str

    @property
    def reason(self) -> str:
        """Why it failed, in one line."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        return lines[-1] if lines else f"it ended with status {self.status}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say which hosts, and how they are reached."""
    parser.add_argument("--hosts", metavar="A,B,…", help="names of hosts")
    parser.add_argument("--hostfile", metavar="FILE", help="a file of them, one a line; # begins a comment")
    parser.add_argument(
        "--ssh",
        metavar="COMMAND",
        default=SSH,
        type=_command,
        help="called as COMMAND HOST LINE: 'ssh -p 2222' …",
    )


def _command(text: str) -> str:
    try:
        if shlex.split(text):
            return text
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no command: {error}") from None
    raise argparse.ArgumentTypeError("it is empty")


def hosts_of(arguments: argparse.Namespace) -> list[str]:
    """The hosts that were asked for, each once; UsageError where there is none, or a name that is none."""
    found = (arguments.hosts or "").split(",")
    if arguments.hostfile is not None:
        try:
            lines = Path(arguments.hostfile).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"--hostfile {arguments.hostfile} can't be read: {getattr(error, 'strerror', error)}"
            ) from error
        found += [line.partition("#")[0] for line in lines]
    hosts = list(dict.fromkeys(filter(None, (host.strip() for host in found))))
    if not hosts:
        raise UsageError("no hosts are named; expected --hosts A,B,… or --hostfile FILE with one a line")
    for host in hosts:
        # What begins with a dash would be an option of ssh.
        if not re.fullmatch(r"[A-Za-z0-9_.@:\[\]%][A-Za-z0-9_.@:\[\]%-]*", host):
            raise UsageError(f"{host!r} is not the name of a host")
    return hosts


def run_on(
    hosts: Sequence[str], line: str, stdin: bytes | Path = b"", ssh: str = SSH, *, longest: float | None = None
) -> list[Result]:
    """Run a line, for a shell there, on all hosts; `stdin` is what it reads, or the file that it reads from.
    What takes longer than `longest` seconds is ended, and its status TOO_LONG.

    Results come in the order of the hosts, when all have ended. One that can't be reached is a result, too: ssh's
    status is UNREACHED. When this is interrupted, what was started is ended.
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
                return Result(host, TOO_LONG, "", f"no answer within {longest:.0f} s; look at the host itself")
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
