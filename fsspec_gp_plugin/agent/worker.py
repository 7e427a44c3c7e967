"""One forked process of the agent: it takes the commands of clients and runs each in a thread of its own.

No client waits for another: there is a thread for every command that was taken, and one more that accepts the next.
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
from .cache import Cache, CachedResources
from .client_link import ClientLink, adopt_nice_value, nice_value, open_nonblocking
from .hook_actions import after_hook
from .wire import CONFIGURATION, ENDS, FULL, INCOMPLETE, RECLAIMED, Refusal

if TYPE_CHECKING:
    from ..config.loading import Config
    from .shared_counters import LastCommands, RefusalCounts, Slot

MOST_STREAMS = 64
# The timestamp of the backup to which a local path of gpbackup's belongs.
_TIMESTAMP = re.compile(r"/([0-9]{14})(?:/|$)")
# How long a client has for each of its messages.
_RECEIVE_TIMEOUT = struct.pack("ll", 5, 0)
_MOST_IDLE = 8
_ACCEPT_PAUSE_SECONDS = 0.1
_CHECK_SECONDS, _LAST_CHECK_SECONDS = 1.0, 0.1
# From TERM to the abort of what still runs: systemd sends KILL after 90.
DRAIN_SECONDS = 75.0
# For aborts that go on when their commands have ended, and for commands that don't end even then.
LAST_SECONDS = 12.0


class Worker:
    """Serves the clients of one listening socket, which other workers may share."""

    def __init__(
        self,
        listener: socket.socket,
        slot: Slot,
        share: int,
        shared: tuple[LastCommands, RefusalCounts],
        *,
        hooks: bool = True,
    ) -> None:
        """Other processes read in `slot` how busy it is, and in `shared` which backups' commands come and what it
        refuses. It may use one of `share` parts of the agent's memory. Without `hooks` it refuses the setup and cleanup
        hooks.
        """
        self._last_commands, self._refusals = shared
        self._listener = listener
        self._slot = slot
        self._share = share
        self._log = Log()
        self._cache = Cache()
        self._admission = Admission(self._cache, hooks=hooks)
        self._memory = Memory(0)
        self._lock = threading.Lock()
        self._links: set[ClientLink] = set()
        self._waiting = self._busy = 0
        self._nice = nice_value()
        self._ending = False
        self._last_call = math.inf

    def run(self, parent: int, config: str = "") -> None:
        """Serve until `parent`, a pipe, is closed, or TERM comes; then until the last command has ended, and its aborts
        have, for which there are `LAST_SECONDS`. After TERM commands have `DRAIN_SECONDS`. `config`: the configuration
        that is going to be used, or "".
        """
        signal.signal(signal.SIGTERM, self._note_term)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # as it is until now, in a process just forked
        take_over_library_logging(self._log)
        if config:
            self._warm_up(config)
        poller = select.poll()
        poller.register(parent, select.POLLIN)
        last_alive = time.monotonic()
        while not self._ending or (self._busy and time.monotonic() < self._last_call + LAST_SECONDS):
            self._start_acceptor()
            if poller.poll(1000 * (_LAST_CHECK_SECONDS if self._ending else min(_CHECK_SECONDS, wire.ALIVE_SECONDS))):
                poller.unregister(parent)
                self._ending = True
                # The parent shuts down the socket that all workers share, unless it was killed.
                with suppress(OSError):
                    self._listener.shutdown(socket.SHUT_RDWR)
            if time.monotonic() > self._last_call:
                for link in self._current_links():
                    link.interrupt(signal.SIGTERM)
            if time.monotonic() - last_alive >= wire.ALIVE_SECONDS:
                last_alive = time.monotonic()
                for link in self._current_links():
                    link.send_alive()
        wait_for_background_work(min(self._last_call, time.monotonic()) + LAST_SECONDS)

    def _note_term(self, *_: object) -> None:
        self._ending = True
        self._last_call = min(self._last_call, time.monotonic() + DRAIN_SECONDS)

    def _warm_up(self, path: str) -> None:
        """Make the store of a configuration ready, in another thread: its first command then waits for less."""

        def work() -> None:
            with suppress(Exception):  # a command that needs it will report it
                cached = self._cache.acquire(self._cache.config(path, os.environ), Resources())
                cached.store.warm_up()
                self._cache.release(cached)

        with suppress(RuntimeError):  # the system gives no more threads
            threading.Thread(target=work, daemon=True).start()

    def _current_links(self) -> list[ClientLink]:
        with self._lock:
            return list(self._links)

    def _start_acceptor(self) -> None:
        """Start a thread that waits for the next client, unless one is waiting. Also when the worker ends: clients are
        to be refused at once, so that they run their commands themselves.
        """
        with self._lock:
            if self._waiting:
                return
            self._waiting += 1
        try:
            _thread.start_new_thread(self._accept, ())  # a Thread would be waited for until it runs
        except RuntimeError:  # the system gives no more threads: a thread that ends, or run(), tries again
            with self._lock:
                self._waiting -= 1

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:  # no memory or no descriptors for a while, or the worker ends and the queue is empty
                time.sleep(_ACCEPT_PAUSE_SECONDS)
                continue
            with self._lock:
                self._waiting -= 1
                self._busy += 1
                full = self._busy > MOST_STREAMS
                self._slot.busy = self._busy
            self._start_acceptor()
            try:
                with client:
                    self._serve(client, full=full)
            except Exception as error:  # noqa: BLE001 - whatever a client does, the others are served
                self._log.error(f"agent: {type(error).__name__}: {error}")
            self._admission.descriptors.release()
            with self._lock:
                self._busy -= 1
                self._slot.busy = self._busy
                # The threads that it starts would have its nice value, which it can't lower again.
                if self._waiting >= _MOST_IDLE or nice_value() != self._nice:
                    return
                self._waiting += 1

    def _serve(self, client: socket.socket, *, full: bool) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _RECEIVE_TIMEOUT)
        try:
            pid, uid = wire.peer(client)
            if uid != os.geteuid():
                return
            name = "the command"
            try:
                request = wire.read_request(client)
                name = request.arguments[0]
                config = self._admit(request, full=full)
                client.sendall(wire.TAKEN)
                descriptors = wire.read_descriptors(client)
            except (Refusal, ConfigError) as error:
                refusal = error if isinstance(error, Refusal) else Refusal(CONFIGURATION, str(error))
                with self._lock:
                    is_new = self._refusals.add(self._slot.number, refusal.reason)
                if refusal.reason not in (INCOMPLETE, RECLAIMED):
                    client.sendall(wire.REFUSED)
                if is_new:  # the client is gone by now, should the log hang
                    self._log.info(f"agent: {name} of process {pid} runs by itself: {refusal}")
                return
        except (OSError, wire.WireError):
            return  # the client has gone, and runs its command itself
        link = ClientLink(client)
        with self._lock:
            self._links.add(link)
        status = 1
        try:
            adopt_nice_value(pid)
            status = self._run(request, config, link, descriptors, pid)
        finally:
            with self._lock:
                self._slot.count_served()
                self._links.discard(link)
            link.send_end(status)

    def _admit(self, request: wire.Request, *, full: bool) -> Config:
        if full or self._ending:
            raise Refusal(ENDS if self._ending else FULL)
        config = self._admission.admit(request)
        self._memory.limit = config.agent_memory_limit // self._share
        if match := _TIMESTAMP.search(request.arguments[2]):
            self._last_commands.record(int(match[1]))
        return config

    def _run(self, request: wire.Request, config: Config, link: ClientLink, descriptors: list[int], pid: int) -> int:
        log = Log(pid=pid)
        try:
            name = request.arguments[0]
            command = COMMANDS[name]
            arguments = command.resolve_paths(request.arguments[1:], request.cwd)
            on_first_byte = link.send_begun if gzip_header.is_needed(name, arguments[1]) else lambda: None
            caller = pid, request.environment
            resources = CachedResources(self._cache, config, link, self._memory, caller, on_first_byte)
            for number, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
                descriptors.append(open_nonblocking(descriptors[number], flags))
            streams = Streams(*descriptors[3:])
            call = Call(streams, name, log=log, resources=resources)
            try:
                context = call.run(arguments)
                if command.is_hook:
                    after_hook(context, *arguments[1:3])
                return 0
            except BaseException as error:  # noqa: BLE001 - reported to the client
                if isinstance(error, AccessDenied | CredentialsEnded):
                    resources.remove_stores()
                return call.report_error(error)
        finally:
            log.close()
            for fd in set(descriptors):
                with suppress(OSError):
                    os.close(fd)
