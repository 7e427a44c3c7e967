"""The connection to one client while its command runs, and what the thread of the command takes from that client."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
from contextlib import suppress

from ..errors import Interrupted
from .wire import ALIVE, BEGUN, ENDED, INTERRUPT

_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class ClientLink:
    """An alarm that goes off when the client has got a signal, or is gone."""

    def __init__(self, connection: socket.socket) -> None:
        """`connection` leads to a client whose command was taken."""
        self._connection = connection
        self.fd = connection.fileno()
        self._signal: int | None = None
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raise Interrupted when the client has got a signal, or is gone."""
        with self._lock:
            if self._signal is None:
                self._signal = self._receive_signal()
        if self._signal is not None:
            raise Interrupted(self._signal)

    def _receive_signal(self) -> int | None:
        try:
            message = self._connection.recv(2, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            message = b""
        if message[:1] == INTERRUPT and message[1:] and message[1] in _SIGNALS:
            return message[1]
        return signal.SIGKILL  # which ends a client without a message

    def interrupt(self, signum: int) -> None:
        """End the command as if its client had got that signal."""
        with self._lock:
            if self._signal is None:
                self._signal = signum
        with suppress(OSError):  # the client is gone
            self._connection.shutdown(socket.SHUT_RD)  # wakes whoever waits for the client

    def send_alive(self) -> None:
        """Send a sign of life: a client that gets none for 120 s stops waiting."""
        self._send(ALIVE)

    def send_begun(self) -> None:
        """Tell the client that the first byte of its stream comes now."""
        self._send(BEGUN)

    def send_end(self, status: int) -> None:
        """Send the exit status of the command, with which the client ends."""
        self._send(ENDED + bytes([status]))

    def _send(self, message: bytes) -> None:
        with self._lock, suppress(OSError):  # the client is gone, or has not read for hours
            self._connection.send(message, socket.MSG_DONTWAIT)


def open_nonblocking(fd: int, flags: int) -> int:
    """Open the pipe behind a descriptor anew, so that a signal can end the wait for it; whoever else has it open does
    not notice. Returns the new descriptor, or `fd` for anything but a pipe.
    """
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        with suppress(OSError):  # it belongs to another user
            return os.open(f"/proc/self/fd/{fd}", flags | os.O_NONBLOCK | os.O_CLOEXEC)
    return fd


def nice_value() -> int:
    """The nice value of this thread: the kernel has one for each."""
    return os.getpriority(os.PRIO_PROCESS, 0)


def adopt_nice_value(pid: int) -> None:
    """Give this thread, and those that it starts, the nice value of a process, if that is higher. An ordinary user
    can't lower it again.
    """
    with suppress(OSError):  # the process has gone
        value = os.getpriority(os.PRIO_PROCESS, pid)
        if value > nice_value():
            os.setpriority(os.PRIO_PROCESS, 0, value)
