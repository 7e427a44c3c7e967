"""A person at a terminal: a program whose questions are read and answered."""

from __future__ import annotations

import os
import pty
import select
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PATIENCE_SECONDS = 30.0


class Terminal:
    """A program that runs in a terminal of its own; `screen` is all that stood on it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it."""
        self._ours, theirs = pty.openpty()
        # By way of setsid, which makes the terminal that of the program: a key may interrupt it.
        self._process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *command], env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        self.screen = ""

    def answer(self, question: str, text: str) -> None:
        """Wait for a question, and type the answer."""
        seen = len(self.screen)
        while question not in self.screen[seen:]:
            assert self._read(), self.screen
        os.write(self._ours, text.encode())

    def end(self) -> int:
        """Wait for the program's end; returns its status."""
        while self._read():
            pass
        os.close(self._ours)
        return self._process.wait(_PATIENCE_SECONDS)

    def _read(self) -> bool:
        assert select.select([self._ours], [], [], _PATIENCE_SECONDS)[0], self.screen
        try:
            piece = os.read(self._ours, 65536)
        except OSError:  # as Linux says that nobody has the other side
            return False
        self.screen += piece.decode(errors="replace")
        return bool(piece)
