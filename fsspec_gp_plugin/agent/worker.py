"""One process of the agent: takes clients' commands and runs each in a thread of its own.

Nobody waits for anybody: a thread is there for every command that was taken, and one more takes the next.
"""

from __future__ import annotations

import _thread
import math
import os
import re
import select
import signal
import socket
import struct
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from .. import gzip_header
from ..call import Call
from ..errors import AccessDenied, ConfigError, CredentialsEnded
from ..log import Log, take_over_library_logging
from ..process import Streams
from ..protocol.targets import Resources
from ..transfer.buffers import Memory
from ..transfer.finish import wait_for_background_work
from . import wire
from .admission import COMMANDS, Admission
from .cache import SharedResources, Warm
from .caller import be_as_nice_as, nice_value, unblocked
from .client_link import Line
from .hook_actions import after_hook
from .refusals import CONFIGURATION, ENDS, FULL, INCOMPLETE, TAKEN_BACK, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.loading import Config
    from .refusals import Refusals
    from .shared_counters import Signs, Slot

MOST_STREAMS = 64
# Of the backup that a local path of gpbackup's belongs to.
_TIMESTAMP = re.compile(r"/([0-9]{14})(?:/|$)")
# How long a client has for each of its messages.
_PATIENCE = struct.pack("ll", 5, 0)
_MOST_IDLE = 8
_ACCEPT_PAUSE_SECONDS = 0.1
_LOOK_SECONDS, _LAST_LOOK_SECONDS = 1.0, 0.1
# From TERM to the abort of what still runs: systemd sends KILL after 90.
DRAIN_SECONDS = 75.0
# For what is being taken back when its command has ended, and for commands that then don't end at all.
LAST_SECONDS = 12.0


class Worker:
    """Serves the clients of one listening socket, which other processes may share."""

    def __init__(
        self, listener: socket.socket, slot: Slot, share: int, seen: tuple[Signs, Refusals], *, hooks: bool = True
    ) -> None:
        """`slot` is where others see how busy it is, `seen` where they see which backups' commands come, and what it
        does not serve; it may use one of `share` parts of the agent's memory. Without `hooks` it refuses these.
        """
        self._signs, self._refusals = seen
        self._listener = listener
        self._slot = slot
        self._share = share
        self._log = Log()
        self._warm = Warm()
        self._admission = Admission(self._warm, hooks=hooks)
        self._memory = Memory(0)
        self._lock = threading.Lock()
        self._lines: set[Line] = set()
        self._waiting = self._busy = 0
        self._nice = nice_value()
        self._ending = False
        self._last_call = math.inf

    def run(self, parent: int) -> None:
        """Serve until `parent`, a pipe, is closed, or TERM comes; then until the last command has ended, and nothing is
        being taken back any more, for which there are `LAST_SECONDS`. After TERM commands have `DRAIN_SECONDS`.
        """
        signal.signal(signal.SIGTERM, self._note_term)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # as it is until now, in a process just forked
        take_over_library_logging(self._log)
        poller = select.poll()
        poller.register(parent, select.POLLIN)
        said = time.monotonic()
        while not self._ending or (self._busy and time.monotonic() < self._last_call + LAST_SECONDS):
            self._hire()
            if poller.poll(1000 * (_LAST_LOOK_SECONDS if self._ending else min(_LOOK_SECONDS, wire.ALIVE_SECONDS))):
                poller.unregister(parent)
                self._ending = True
                # By the parent, already, or it was killed. Else nobody shuts down what all workers share.
                with suppress(OSError):
                    self._listener.shutdown(socket.SHUT_RDWR)
            if time.monotonic() > self._last_call:
                self._to_each(partial(Line.interrupt, signum=signal.SIGTERM))
            if time.monotonic() - said >= wire.ALIVE_SECONDS:
                said = time.monotonic()
                self._to_each(Line.say_alive)
        wait_for_background_work(min(self._last_call, time.monotonic()) + LAST_SECONDS)

    def _note_term(self, *_: object) -> None:
        self._ending = True
        self._last_call = min(self._last_call, time.monotonic() + DRAIN_SECONDS)

    def warm_up(self, path: str) -> None:
        """Make ready, in another thread, what the commands with a configuration need first."""

        def work() -> None:
            with suppress(Exception):  # whoever needs it will say so
                config = self._warm.config(path, os.environ)
                kept = self._warm.take(config, Resources())
                kept.store.warm_up()
                self._warm.let_go(kept)

        with suppress(RuntimeError):  # the system gives no more threads
            threading.Thread(target=work, daemon=True).start()

    def _to_each(self, say: Callable[[Line], None]) -> None:
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            say(line)

    def _hire(self) -> None:
        """Another thread that waits for clients, unless there is one; at the end, too, as each of them is to hear at
        once that it runs its command itself.
        """
        with self._lock:
            if self._waiting:
                return
            self._waiting += 1
        try:
            _thread.start_new_thread(self._work, ())  # a Thread would be waited for until it runs
        except RuntimeError:  # the system gives no more threads: who ends, or run(), tries again
            with self._lock:
                self._waiting -= 1

    def _work(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:  # no memory or no descriptors, which pass, or the end, when nobody is in the queue any more
                time.sleep(_ACCEPT_PAUSE_SECONDS)
                continue
            with self._lock:
                self._waiting -= 1
                self._busy += 1
                full = self._busy > MOST_STREAMS
                self._slot.busy = self._busy
            self._hire()
            try:
                with client:
                    self._serve(client, full=full)
            except Exception as error:  # noqa: BLE001 - whatever a client does, the others are served
                self._log.error(f"agent: {type(error).__name__}: {error}")
            self._admission.descriptors.give_back()
            with self._lock:
                self._busy -= 1
                self._slot.busy = self._busy
                # All that it would hire had its nice value as well, and there is no way back.
                if self._waiting >= _MOST_IDLE or nice_value() != self._nice:
                    return
                self._waiting += 1

    def _serve(self, client: socket.socket, *, full: bool) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
        try:
            pid, uid = wire.peer(client)
            if uid != os.geteuid():
                return
            name = "the command"
            try:
                request = wire.read_request(client)
                name = request.arguments[0]
                config = self._accepted(request, full=full)
                client.sendall(wire.TAKEN)
                descriptors = wire.read_descriptors(client)
            except (Refusal, ConfigError) as error:
                refusal = error if isinstance(error, Refusal) else Refusal(CONFIGURATION, str(error))
                with self._lock:
                    is_news = self._refusals.add(self._slot.number, refusal.reason)
                if refusal.reason not in (INCOMPLETE, TAKEN_BACK):
                    client.sendall(wire.REFUSED)
                if is_news:  # it waits no more, should the log hang
                    self._log.info(f"agent: {name} of process {pid} runs by itself: {refusal}")
                return
        except (OSError, wire.WireError):
            return  # it has gone, and does without us
        line = Line(client)
        with self._lock:
            self._lines.add(line)
        status = 1
        try:
            be_as_nice_as(pid)
            status = self._run(request, config, line, descriptors, pid)
        finally:
            with self._lock:
                self._slot.count()
                self._lines.discard(line)
            line.end(status)

    def _accepted(self, request: wire.Request, *, full: bool) -> Config:
        if full or self._ending:
            raise Refusal(ENDS if self._ending else FULL)
        config = self._admission.config_of(request)
        self._memory.limit = config.agent_memory_limit // self._share
        if found := _TIMESTAMP.search(request.arguments[2]):
            self._signs.leave(int(found[1]))
        return config

    def _run(self, request: wire.Request, config: Config, line: Line, descriptors: list[int], pid: int) -> int:
        log = Log(pid=pid)
        try:
            name, *given = request.arguments
            command = COMMANDS[name]
            arguments = command.resolve_paths(given, request.cwd)
            header_is_needed = gzip_header.is_needed(name, arguments[1])
            begun = line.say_begun if header_is_needed else lambda: None
            resources = SharedResources(self._warm, config, line, self._memory, (pid, request.environment), begun)
            for number, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
                descriptors.append(unblocked(descriptors[number], flags))
            streams = Streams(*descriptors[3:])
            call = Call(streams, name, log=log, resources=resources)
            try:
                context = call.run(arguments)
                if command.is_hook:
                    after_hook(context, *arguments[1:3])
                return 0
            except BaseException as error:  # noqa: BLE001 - told to the client
                if isinstance(error, AccessDenied | CredentialsEnded):
                    resources.distrust()
                return call.ended_by(error)
        finally:
            log.close()
            for fd in set(descriptors):
                with suppress(OSError):
                    os.close(fd)
