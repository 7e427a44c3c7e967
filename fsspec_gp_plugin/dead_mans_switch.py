"""Ends a process after a signal even if some code never releases the interpreter's lock.

A regular expression, a parser or a sort in C keeps the lock, and then no thread of Python's runs that could act upon a
signal. Here the kernel and Python's handlers in C do it, neither of which needs the lock:

1. The first signal: Python's handler, in C, writes a byte into the socket of `set_wakeup_fd`. There is room for one.
2. Its arrival makes the kernel send SIGALRM (O_ASYNC) to a thread that does nothing else.
3. There faulthandler's handler, in C, tells the thread's stack, by two writes, to a socket that is full. Each waits for
   half of the time that Python has to end the process in its own way, then fails (SO_SNDTIMEO).
4. Then it hands on to what SIGALRM does by default (`chain`): the process has ended.

Nothing is armed before a signal comes, and no clock runs: a process that was stopped or had to wait for memory is not
harmed.
"""

from __future__ import annotations

import _socket  # the module that is made of it takes 5 ms
import _thread
import faulthandler
import fcntl
import os
import select
import signal
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_DONT_WAIT = 0x40  # MSG_DONTWAIT
_F_SETOWN_EX, _F_OWNER_TID = 15, 0
# Python itself has ended the process after 1.9 s. The kernel rounds up, and to end takes a moment.
_SECONDS = 1.92
# Of a thread without any frame of Python's: "Stack (most recent call first):" and "<no Python frame>".
_WRITES = 2


class DeadMansSwitch:
    """To be made in the main thread, once a process, before there are other threads; what it makes stays for good."""

    def __init__(self, taken: Collection[int], seconds: float = _SECONDS) -> None:
        """From now on, the first signal that Python handles ends the process after so many seconds. Of those in `taken`
        that is so once a thread unblocks them, to wait() for them: they are blocked here, and in threads to come.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, taken)
        wakeup, self._received = _socket_pair()
        self._received.recv(1)
        wakeup.setblocking(False)
        self._edge = select.epoll(1)
        self._edge.register(self._received.fileno(), select.EPOLLIN | select.EPOLLET)
        self._edge.poll()  # what was there before counts as seen
        self._full, other_end = _socket_pair()
        other_end.detach()  # it is never closed
        microseconds = int(seconds * 1_000_000) // _WRITES
        timeout = struct.pack("@ll", *divmod(microseconds, 1_000_000))
        self._full.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, timeout)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which is what the handler hands on to
        faulthandler.register(signal.SIGALRM, self._full.fileno(), all_threads=False, chain=True)
        with suppress(OSError):  # where the kernel is another's that doesn't know it, as in a sandbox, Python is alone
            self._alarm_goes_to(_start_thread())
        signal.set_wakeup_fd(wakeup.detach(), warn_on_full_buffer=False)

    def _alarm_goes_to(self, thread: int) -> None:
        fd = self._received.fileno()
        fcntl.fcntl(fd, _F_SETOWN_EX, struct.pack("@ii", _F_OWNER_TID, thread))
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGALRM)
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)

    def wait(self) -> int:
        """Wait for the first signal, which is not blocked in this thread; returns its number."""
        self._edge.poll()
        # Before there is room again: another signal would end the process at once.
        fcntl.fcntl(self._received.fileno(), fcntl.F_SETFL, os.O_NONBLOCK)
        return self._received.recv(1 << 12)[-1]

    def let_go(self) -> None:
        """A signal has come, and the interpreter acts upon it: it may take its time."""
        fcntl.fcntl(self._received.fileno(), fcntl.F_SETFL, os.O_NONBLOCK)
        faulthandler.register(signal.SIGALRM, self._full.fileno(), all_threads=False, chain=False)


def _socket_pair() -> tuple[_socket.socket, _socket.socket]:
    """Two connected sockets; what was sent by the first fills it."""
    ends = _socket.socketpair()
    ends[0].setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, 1)  # as small as the kernel makes it
    try:
        while True:
            ends[0].send(b"\0", _DONT_WAIT)
    except BlockingIOError:
        return ends


def _start_thread() -> int:
    """Start a thread that runs no line of Python, and takes SIGALRM; returns its number in the system.

    It has begun by then: before that it has no stack to tell, and so no time to wait.
    """
    before = set(os.listdir("/proc/self/task"))
    # What came to it would interrupt nobody who waits.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    lock = _thread.allocate_lock()
    lock.acquire()
    begun = _thread._count()  # noqa: SLF001 - which a thread raises as its first act
    _thread.start_new_thread(lock.acquire, ())
    while _thread._count() == begun:  # noqa: SLF001
        time.sleep(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    return int((set(os.listdir("/proc/self/task")) - before).pop())
