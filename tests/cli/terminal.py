"""A person at a terminal: a program whose questions are read and answered."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
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
        self._seen = 0

    def answer(self, question: str, text: str) -> None:
        """Wait for a question, and type the answer."""
        while (found := self.screen.find(question, self._seen)) < 0:
            assert self._read(), self.screen
        self._seen = found + len(question)
        self.type(text)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())

    def wait(self, seconds: float) -> None:
        """Let the program work; it must not end."""
        time.sleep(seconds)
        assert self._process.poll() is None, self.screen

    def end(self) -> int:
        """Wait for the program's end; returns its status."""
        while self._read():
            pass
        os.close(self._ours)
        return self._process.wait(_PATIENCE_SECONDS)

    def _read(self) -> bool:
        poller = select.poll()  # select() takes no descriptor above 1023
        poller.register(self._ours, select.POLLIN)
        assert poller.poll(_PATIENCE_SECONDS * 1000), self.screen
        try:
            piece = os.read(self._ours, 65536)
        except OSError:  # as Linux says that nobody has the other side
            return False
        self.screen += piece.decode(errors="replace")
        return bool(piece)
