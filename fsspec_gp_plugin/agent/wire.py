"""The messages between client and agent, and their sockets. client.py and client.c have the client's side.

1. The client sends the call and its surroundings. No descriptors yet: a stopped agent would hold the pipes open.
2. The agent answers TAKEN or REFUSED; after REFUSED, or without an answer, the client runs the command itself.
3. The client sends GO, its descriptors 0 to 2 and a token, an event descriptor that counts one. The agent reads
   the token as soon as it has the descriptors, and only then uses them. A client that loses the agent, or gets no
   message, tries to read the token itself: if it can, the agent has not begun, and the client runs the command itself.
   It also does so if the agent has begun with a file, which is still whole.
4. The agent sends ALIVE now and then, and at last ENDED and the exit status. The client sends INTERRUPT and a signal's
   number when it gets one. Where gprestore would wait for ever for a stream without a first byte (gzip_header.py), the
   agent sends BEGUN just before that byte: a client that loses the agent before BEGUN writes the header.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass

from .. import installation, private
from ..errors import LocalFileError, PluginError

# The end of the name of the socket for hooks and `agent status`; clients use the one without it.
CONTROL = ".control"
MAGIC = b"FGP2"
LONGEST_REQUEST = 256 << 10
TAKEN, REFUSED, GO, ALIVE, BEGUN, ENDED, INTERRUPT = b"T", b"N", b"G", b".", b"B", b"E", b"I"
# A client that has received nothing for 120 seconds stops waiting.
ALIVE_SECONDS = 20.0
_BACKLOG = 256

# Why a call is refused. `agent status` prints these.
FULL = "the agent is full"
DESCRIPTORS = "the agent has no descriptors left"
ENDS = "the agent ends"
VERSION = "it is of another version"
HOOK = "a stand-in serves no hooks"
UNUSUAL = "its umask or directory is unusual"
PLACE = "it has another mount, network or user namespace, or another root directory"
OFF = "the agent is switched off"
ENVIRONMENT = "it has another environment of credentials"
CONFIGURATION = "its configuration can't be used"
ARGUMENTS = "its arguments are not those of its command"
INCOMPLETE = "not all of its descriptors arrived"
RECLAIMED = "it did not wait so long for the agent"
REASONS = (
    *(FULL, DESCRIPTORS, ENDS, VERSION, HOOK, UNUSUAL, PLACE, OFF, ENVIRONMENT, CONFIGURATION),
    *(ARGUMENTS, INCOMPLETE, RECLAIMED),
)


class WireError(PluginError):
    """The other side of the connection, or the directory of the sockets, is not what it should be."""


class Refusal(Exception):
    """A client has to run its command itself, for one of `REASONS`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """`detail` is for the log."""
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


@dataclass(frozen=True)
class Request:
    """One call of a client: the arguments, the command's name first, and the caller's surroundings. `place` is what
    environment.place() returns.
    """

    version: str
    umask: int
    cwd: str
    place: str
    arguments: list[str]
    environment: dict[str, str]


def open_directory(home: str, *, make: bool = False) -> int:
    """A descriptor of the directory of this user's sockets. Raises WireError if others may use it."""
    try:
        return private.open_directory("agent", private.below(home), make=make)
    except LocalFileError as error:
        raise WireError(str(error)) from error


def home() -> str:
    """The home directory of the agent's user. Raises WireError if HOME is not set."""
    directory = os.environ.get("HOME", "")
    if not directory.startswith("/"):
        raise WireError("HOME is not set")
    return directory


def socket_name() -> str:
    """The name of this host's and installation's socket: homes may be shared by hosts, and hosts by versions."""
    status = os.stat(installation.bin_directory())
    host = os.fsencode(os.uname().nodename)[:32].decode(errors="surrogateescape")
    return f"{host}-{status.st_dev:x}-{status.st_ino:x}"


def address(directory: int, name: str) -> str:
    """The address of a socket in an open directory: short, however long the path of the directory is."""
    return f"/proc/self/fd/{directory}/{name}"


def peer(connection: socket.socket) -> tuple[int, int]:
    """The process id and the user id of the other side."""
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


class ListeningSocket:
    """A socket that listens under a name in an open directory."""

    def __init__(self, directory: int, name: str) -> None:
        """The caller holds the agent's lock: whoever used the name before is gone. Raises OSError."""
        self._directory = directory
        self._name = name
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(address(directory, name))
        self._bound = self._identity()
        self.socket.listen(_BACKLOG)

    def _identity(self) -> tuple[int, ...]:
        status = os.stat(self._name, dir_fd=self._directory)
        return status.st_dev, status.st_ino, status.st_uid

    def is_lost(self) -> bool:
        """Whether no client can find this socket any more: its name is free, or is that of a newer agent's socket."""
        try:
            return self._identity() != self._bound
        except OSError:
            return True

    def release_name(self) -> None:
        """Remove the name, unless it is that of another agent's socket by now."""
        if not self.is_lost():
            with suppress(OSError):
                os.unlink(self._name, dir_fd=self._directory)


def read_request(connection: socket.socket) -> Request:
    """The client's first message. Raises Refusal if it is in the format of another version, WireError if it is no
    request.
    """
    head = _receive(connection, 8)
    length = int.from_bytes(head[4:], "little")
    if head[:3] == MAGIC[:3] and head[:4] != MAGIC:
        raise Refusal(VERSION)
    if head[:4] != MAGIC or length > LONGEST_REQUEST:
        raise WireError("not a request")
    body = _receive(connection, length)
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


def _receive(connection: socket.socket, count: int) -> bytes:
    pieces = []
    while count:
        piece = connection.recv(count)
        if not piece:
            raise WireError("the client has gone")
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def read_descriptors(connection: socket.socket) -> list[int]:
    """The descriptors 0 to 2 of the client; from now on the call is the agent's. Raises Refusal if not all descriptors
    have arrived, or the client runs its command itself; WireError if the client has gone.
    """
    message, descriptors, _, _ = socket.recv_fds(connection, 1, 4, socket.MSG_CMSG_CLOEXEC)
    is_complete = message == GO and len(descriptors) == 4
    has_token = False
    with suppress(OSError):  # the client has read the token itself
        has_token = is_complete and os.eventfd_read(descriptors[3]) == 1
    for fd in descriptors[3 if has_token else 0 :]:
        os.close(fd)
    if not message:
        raise WireError("the client has gone")
    if not has_token:
        raise Refusal(RECLAIMED if is_complete else INCOMPLETE)
    return descriptors[:3]
