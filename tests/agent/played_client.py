"""A client that a test plays, word by word, with the product's own side of the wire left out."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from fsspec_gp_plugin import __version__
from fsspec_gp_plugin.agent import wire
from fsspec_gp_plugin.agent.environment import place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Of a machine with much else to do.
PATIENCE = 60.0


def request(
    *arguments: str, environment: Mapping[str, str], version: str = __version__, seen: str | None = None
) -> bytes:
    """A client's first message; `seen`: its place, unless it is ours."""
    fields = [version, "22", "/", place() if seen is None else seen, str(len(arguments)), *arguments]
    fields += [f"{name}={value}" for name, value in environment.items()]
    body = "".join(f"{field}\0" for field in fields).encode()
    return wire.MAGIC + len(body).to_bytes(4, "little") + body


class PlayedClient:
    """A connection to an agent's socket."""

    def __init__(self, address: str) -> None:
        """Connect."""
        self._line = socket.socket(socket.AF_UNIX)
        self._line.settimeout(PATIENCE)
        self._token = os.eventfd(1, os.EFD_NONBLOCK)
        try:
            self._line.connect(address)
        except OSError:
            self.close()
            raise

    def ask(self, message: bytes) -> bytes:
        """The first byte of the answer, b"" where the agent hangs up."""
        self._line.sendall(message)
        try:
            return self._line.recv(1)
        except ConnectionResetError:
            return b""

    def hand_over(self, descriptors: Sequence[int]) -> None:
        """Let the command begin; the agent has the descriptors then, and we no more."""
        socket.send_fds(self._line, [wire.GO], [*descriptors, self._token])
        for fd in descriptors:
            os.close(fd)

    def takes_back(self) -> bool:
        """Whether the agent has not begun, and can't any more."""
        try:
            return os.eventfd_read(self._token) == 1
        except BlockingIOError:
            return False

    def hear(self) -> bytes:
        """The next byte."""
        return self._line.recv(1)

    def hear_end(self) -> int:
        """The exit status, after any number of signs of life."""
        while (word := self.hear()) == wire.ALIVE:
            pass
        assert word == wire.ENDED, word
        return self.hear()[0]

    def close(self) -> None:
        """Go away."""
        if self._line.fileno() >= 0:
            self._line.close()
            os.close(self._token)
