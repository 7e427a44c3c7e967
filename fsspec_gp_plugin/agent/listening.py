"""A socket of the agent's own: whether it is still the one that others find under its name."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from . import wire

_BACKLOG = 256


class Listening:
    """A socket that listens under a name in an open directory."""

    def __init__(self, directory: int, name: str) -> None:
        """For who has the agent's lock: whoever had the name is gone. OSError."""
        self._directory = directory
        self._name = name
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(wire.address(directory, name))
        self._bound = self._found()
        self.socket.listen(_BACKLOG)

    def _found(self) -> tuple[int, ...]:
        status = os.stat(self._name, dir_fd=self._directory)
        return status.st_dev, status.st_ino, status.st_uid

    def is_lost(self) -> bool:
        """Whether nobody finds it any more: its name is free, or another's, who then is the agent."""
        try:
            return self._found() != self._bound
        except OSError:
            return True

    def give_up_name(self) -> None:
        """Nobody shall find it any more; the name stays another's."""
        if not self.is_lost():
            with suppress(OSError):
                os.unlink(self._name, dir_fd=self._directory)
