"""An agent on a real socket that does what a test says, step by step, and knows nothing of the real one's code."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import termios
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

# Of a machine with much else to do.
PATIENCE = 60.0


@dataclass
class Request:
    """What a client says that it was called with."""

    version: str
    umask: int
    cwd: str
    place: str
    arguments: list[str]
    environment: list[str]
    size: int


class FakeAgent:
    """Listens where the clients of an installation look for the agent of a home."""

    def __init__(self, home: Path, executables: Path, backlog: int = 8) -> None:
        self.folder = home / ".fsspec_gp_plugin/agent"
        self.folder.parent.mkdir(mode=0o700, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        status = executables.stat()
        host = os.fsencode(os.uname().nodename)[:32].decode()
        self.path = self.folder / f"{host}-{status.st_dev:x}-{status.st_ino:x}"
        self.listener = socket.socket(socket.AF_UNIX)
        # The path of a test's folder is too long for an address.
        self._reached = os.open(self.folder, os.O_RDONLY)
        self.address = f"/proc/self/fd/{self._reached}/{self.path.name}"
        self.listener.bind(self.address)
        self.listener.listen(backlog)
        self.listener.settimeout(PATIENCE)

    def accept(self) -> Conversation:
        """The next client."""
        connection, _ = self.listener.accept()
        connection.settimeout(PATIENCE)
        return Conversation(connection)

    def was_called(self) -> bool:
        """Whether a client has come that was not accepted."""
        self.listener.settimeout(0)
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        finally:
            self.listener.settimeout(PATIENCE)
        return True

    def close(self) -> None:
        """Leave the socket's file behind, as one that was killed does."""
        if self.listener.fileno() >= 0:
            self.listener.close()
            os.close(self._reached)


class Conversation:
    """One client."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.descriptors: list[int] = []
        self._token: list[int] = []

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.vanish()

    def request(self) -> Request:
        """Step 1, which comes with no descriptors."""
        head = self._read(8)
        assert head[:4] == b"FGP2"
        size = int.from_bytes(head[4:], "little")
        assert size <= 262144
        fields = self._read(size).decode("utf-8", "surrogateescape").split("\0")
        assert fields.pop() == ""
        version, umask, cwd, place, count = fields[:5]
        rest = fields[5:]
        return Request(version, int(umask, 8), cwd, place, rest[: int(count)], rest[int(count) :], size)

    def say(self, answer: bytes) -> None:
        """Any bytes at any time."""
        self.connection.sendall(answer)

    def take(self, answer: bytes = b"T", *, keep: bool = False, begin: bool = True) -> Request:
        """Steps 1 to 3."""
        request = self.request()
        self.say(answer)
        self.handed_over(keep=keep, begin=begin)
        return request

    def handed_over(self, *, keep: bool = False, begin: bool = True) -> None:
        """Step 3. The descriptors are closed unless the agent is to keep them: no reader would see an end."""
        word, received, _, _ = socket.recv_fds(self.connection, 1, 10, socket.MSG_CMSG_CLOEXEC)
        self.descriptors, self._token = received[:3], received[3:]
        assert word == b"G"
        assert len(received) == 4
        if begin:
            assert self.begins()
        if not keep:
            self.release()

    def begins(self) -> bool:
        """Whether the call is the agent's, which it may use from then on."""
        try:
            return os.eventfd_read(self._token[0]) == 1
        except BlockingIOError:
            return False

    def hear(self) -> bytes:
        """What the client says until it has gone."""
        heard = b""
        while True:
            try:
                piece = self.connection.recv(100)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return heard
            heard += piece

    def wait_until_read(self) -> None:
        """Until the client has taken all that was said."""
        deadline = time.monotonic() + PATIENCE
        while any(fcntl.ioctl(self.connection, termios.TIOCOUTQ, bytes(4))):
            assert time.monotonic() < deadline, "the client does not listen"
            time.sleep(0.005)

    def wait_for_word(self) -> None:
        """Until there is something to hear."""
        poller = select.poll()
        poller.register(self.connection, select.POLLIN)
        assert poller.poll(PATIENCE * 1000)

    def hear_interrupt(self) -> int:
        """Step 5: the number of the signal."""
        word, number = self._read(2)
        assert word == ord("I")
        return number

    def vanish(self) -> None:
        """As when the agent is killed."""
        self.release()
        for fd in self._token:
            os.close(fd)
        self._token = []
        self.connection.close()

    def release(self) -> None:
        """Close what the client handed over."""
        for fd in self.descriptors:
            os.close(fd)
        self.descriptors = []

    def _read(self, count: int) -> bytes:
        pieces = b""
        while len(pieces) < count:
            piece, ancillary, _, _ = self.connection.recvmsg(count - len(pieces), 100)
            assert piece, "the client has gone"
            assert not ancillary
            pieces += piece
        return pieces
