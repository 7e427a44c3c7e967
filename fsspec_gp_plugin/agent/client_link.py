"""The connection to one client while its command runs: it ends the command, and is told how that ended."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import Interrupted
from .wire import ALIVE, BEGUN, ENDED, INTERRUPT

if TYPE_CHECKING:
    import socket

_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_DONT_WAIT = 0x40  # MSG_DONTWAIT
_READING = 0  # SHUT_RD


class Line:
    """An alarm that goes off when the client got a signal, or is gone."""

    def __init__(self, line: socket.socket) -> None:
        """`line` is connected to a client whose command was taken."""
        self._line = line
        self.fd = line.fileno()
        self._signal: int | None = None
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raise Interrupted when the client wants, or needs, no more."""
        with self._lock:
            if self._signal is None:
                self._signal = self._heard()
        if self._signal is not None:
            raise Interrupted(self._signal)

    def _heard(self) -> int | None:
        try:
            word = self._line.recv(2, _DONT_WAIT)
        except BlockingIOError:
            return None
        except OSError:
            word = b""
        if word[:1] == INTERRUPT and word[1:] and word[1] in _SIGNALS:
            return word[1]
        return signal.SIGKILL  # what ends a client without a word

    def interrupt(self, signum: int) -> None:
        """End the command as that signal to its client would."""
        with self._lock:
            if self._signal is None:
                self._signal = signum
        with suppress(OSError):  # it is gone
            self._line.shutdown(_READING)  # wakes who waits

    def say_alive(self) -> None:
        """So that the client waits on."""
        self._say(ALIVE)

    def say_begun(self) -> None:
        """The first byte of a stream was given."""
        self._say(BEGUN)

    def end(self, status: int) -> None:
        """The command has ended, and the client may."""
        self._say(ENDED + bytes([status]))

    def _say(self, words: bytes) -> None:
        with self._lock, suppress(OSError):  # it is gone, or has not listened for hours
            self._line.send(words, _DONT_WAIT)
