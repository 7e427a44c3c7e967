"""What client and agent say to each other, and where they meet. client.py and client.c have the client's side.

1. The client sends what is called, and where. No descriptors yet: an agent that is stopped would hold the pipes.
2. The agent answers TAKEN, or REFUSED; after that, or silence, the client runs the command itself.
3. The client sends GO, its descriptors 0 to 2 and a token, an event descriptor that counts one. The agent takes the
   token as soon as it has the descriptors, and only then uses them. A client that loses the agent, or hears nothing,
   takes the token back: where it gets it the agent never had the call, and the client runs the command itself. It
   does so also where the agent has begun with a file, which is still whole.
4. The agent sends ALIVE now and then, and at last ENDED and the exit status. The client sends INTERRUPT and a signal's
   number when it gets one. Where gprestore would wait for ever for a stream without a first byte (gzip_header.py), the
   agent sends BEGUN just before that byte: a client that has not seen it and loses the agent gives the header.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass

from .. import installation, private
from ..errors import LocalFileError, PluginError
from .refusals import INCOMPLETE, TAKEN_BACK, VERSION, Refusal

MAGIC = b"FGP2"
LONGEST_REQUEST = 256 << 10
TAKEN, REFUSED, GO, ALIVE, BEGUN, ENDED, INTERRUPT = b"T", b"N", b"G", b".", b"B", b"E", b"I"
# A client that has heard nothing for 120 seconds gives up.
ALIVE_SECONDS = 20.0


class WireError(PluginError):
    """The other side, or the place where to meet it, is not what it should be."""


@dataclass(frozen=True)
class Request:
    """One command that a client asks for: its arguments, the command's name first, and the caller's surroundings;
    `place` as environment.place() gives it.
    """

    version: str
    umask: int
    cwd: str
    place: str
    arguments: list[str]
    environment: dict[str, str]


def open_directory(home: str, *, make: bool = False) -> int:
    """A descriptor of the directory of this user's sockets; WireError where it is not this user's alone."""
    try:
        return private.open_directory("agent", private.below(home), make=make)
    except LocalFileError as error:
        raise WireError(str(error)) from error


def home() -> str:
    """Whose agent it is; WireError without one."""
    found = os.environ.get("HOME", "")
    if not found.startswith("/"):
        raise WireError("HOME is not set")
    return found


def socket_name() -> str:
    """The name of this host's and installation's socket: homes may be shared by hosts, and hosts by versions."""
    status = os.stat(installation.bin_directory())
    host = os.fsencode(os.uname().nodename)[:32].decode(errors="surrogateescape")
    return f"{host}-{status.st_dev:x}-{status.st_ino:x}"


def address(directory: int, name: str) -> str:
    """The address of a socket in an open directory: short, however long the path of the directory is."""
    return f"/proc/self/fd/{directory}/{name}"


def peer(line: socket.socket) -> tuple[int, int]:
    """The process id and the user id of the other side."""
    pid, uid, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


def read_request(line: socket.socket) -> Request:
    """The client's first message; WireError when it is none, Refusal when it is in the words of another version."""
    head = _read(line, 8)
    length = int.from_bytes(head[4:], "little")
    if head[:3] == MAGIC[:3] and head[:4] != MAGIC:
        raise Refusal(VERSION)
    if head[:4] != MAGIC or length > LONGEST_REQUEST:
        raise WireError("not a request")
    body = _read(line, length)
    texts = body.decode("utf-8", "surrogateescape").split("\0")
    try:
        version, umask, cwd, place, count = texts[:5]
        rest = texts[5:-1]
        arguments = rest[: int(count)]
        if texts[-1] or not arguments or len(arguments) != int(count):
            raise ValueError
        environment = dict(text.partition("=")[::2] for text in rest[int(count) :])
        return Request(version, int(umask, 8), cwd, place, arguments, environment)
    except ValueError:
        raise WireError("a request that can't be understood") from None


def _read(line: socket.socket, count: int) -> bytes:
    pieces = []
    while count:
        piece = line.recv(count)
        if not piece:
            raise WireError("the client has gone")
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def read_descriptors(line: socket.socket) -> list[int]:
    """The descriptors 0 to 2 of the client, whose call is ours from now on; Refusal where it is not, as not all have
    arrived, or the client runs its command itself; WireError where that has gone.
    """
    word, descriptors, _, _ = socket.recv_fds(line, 1, 4, socket.MSG_CMSG_CLOEXEC)
    is_complete = word == GO and len(descriptors) == 4
    is_ours = False
    with suppress(OSError):  # the client has taken the token back
        is_ours = is_complete and os.eventfd_read(descriptors[3]) == 1
    for fd in descriptors[3 if is_ours else 0 :]:
        os.close(fd)
    if not word:
        raise WireError("the client has gone")
    if not is_ours:
        raise Refusal(TAKEN_BACK if is_complete else INCOMPLETE)
    return descriptors[:3]
