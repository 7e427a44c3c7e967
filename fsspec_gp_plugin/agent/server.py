"""The agent's first process: it listens, forks the workers, keeps the registered runs, and ends when none is left."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from .. import __version__
from ..control_group import Inquiry, own_group
from ..gpbackup_process import GpbackupProcess
from ..installation import bin_directory
from ..log import Log
from . import wire
from .environment import digest
from .registry import SUFFIX, Registry
from .shared_counters import LastCommands, RefusalCounts, slots

if TYPE_CHECKING:
    from .shared_counters import Slot

_CHECK_SECONDS = 1.0
# A worker that dies is replaced so long after it was forked at the soonest; many in a row that live less end the agent.
_RESTART_SECONDS = 5.0
_MAX_EARLY_DEATHS = 10


def workers_for(cores: int) -> int:
    """How many workers: one for each core; more than eight were never needed to fill a host's network."""
    return max(1, min(cores, 8))


class Server:
    """Listens on two sockets: one for clients, which the workers serve, and one for hooks and people."""

    def __init__(
        self, directory: int, name: str, idle: float, lock: int, *, config: str = "", stand_in: bool = False
    ) -> None:
        """`directory` is open; the sockets' names begin with `name`; the holder of `lock` may bind them. `idle`: the
        agent ends after so many seconds without a command and without a registered run. `config`: the configuration
        that is going to be used, or "". `stand_in`: a data command has started it, so it may be slower than a hook's,
        and serves no hooks.
        """
        self._lock = lock
        self._idle = idle
        self._sockets = [wire.ListeningSocket(directory, one) for one in (name, name + wire.CONTROL)]
        self._listener, self._control = (one.socket for one in self._sockets)
        self._control.settimeout(_CHECK_SECONDS)
        self._slots: list[Slot] = slots(workers_for(len(os.sched_getaffinity(0))))
        self._alive, self._parent = os.pipe2(os.O_CLOEXEC)
        self._started = time.monotonic()
        self._stand_in = stand_in
        self._config = config
        self._last_commands = LastCommands()
        self._refusals = RefusalCounts(len(self._slots))
        self._registry = Registry(directory, name + SUFFIX, self._last_commands)
        self._last_needed = time.monotonic()
        self._forked: dict[int, float] = {}
        self._restarts: dict[Slot, float] = {}  # when dead workers may be replaced
        self._early_deaths = 0
        self._ending = ""
        self._is_to_end = False
        self._ended_with = ""
        self._inquiry: Inquiry | None = None  # made later: hooks wait for the agent, and systemd may hang
        self._installed = _installation()
        self._log = Log()

    def run(self, ready: int) -> int:
        """Serve until the last worker has ended. Writes a line to `ready` once clients may come. TERM ends the agent
        like "stop", but keeps the registered runs, for which a data command may start another one.
        """
        signal.signal(signal.SIGTERM, self._note_term)
        for slot in self._slots:
            self._fork(slot)
        self._log.info(f"agent started, {len(self._slots)} workers, version {__version__}")
        with suppress(OSError):  # the process that started the agent has gone
            os.write(ready, b"ready\n")
        _redirect_to_null()
        with suppress(Exception):  # it is a courtesy
            self._inquiry = Inquiry(own_group())
        while self._forked or (self._restarts and not self._ending):
            try:
                with self._control.accept()[0] as connection:
                    self._answer(connection)
            except TimeoutError:
                pass
            except OSError as error:
                self._log.error(f"agent: {error}")
                time.sleep(_CHECK_SECONDS)
            self._check_state()
        counts = [f"{sum(slot.served for slot in self._slots)} commands served"]
        counts += [f"{count} not, as {reason}" for reason, count in self._refusals.counts().items()]
        self._log.info(f"agent ended: {self._ending}, {', '.join(counts)}")
        return 0

    def _note_term(self, *_: object) -> None:
        self._is_to_end = True

    def _check_state(self) -> None:
        self._reap()
        if self._inquiry is not None and (answer := self._inquiry.answer()) is not None:
            self._inquiry, self._ended_with = None, answer
            if answer:
                self._log.warning(f"agent: it ends with {answer}, and with it the streams of other runs")
        if self._is_to_end and not self._ending:
            self._end("it got SIGTERM")
        if not self._ending and any(one.is_lost() for one in self._sockets):
            self._end("its socket is gone")
        if self._ending:
            return
        for run in self._registry.remove_abandoned():
            self._log.info(f"agent: forgotten, as its gpbackup has ended or was quiet for a day: {run}")
        if self._registry.runs:
            self._last_needed = time.monotonic()
        quiet = time.monotonic() - max(self._last_needed, *(slot.last for slot in self._slots))
        if _installation() != self._installed:
            self._end("its installation was replaced")
        elif quiet > self._idle:
            self._end(f"no backup or restore needs it, and no command came for {quiet:.0f} s")

    def _reap(self) -> None:
        for slot in self._slots:
            if slot.pid not in self._forked:
                continue
            pid, status = os.waitpid(slot.pid, os.WNOHANG)
            if not pid:
                continue
            forked = self._forked.pop(pid)
            if self._ending:
                continue
            self._log.error(f"agent: a worker ended unexpectedly, status {os.waitstatus_to_exitcode(status)}")
            self._restarts[slot] = forked + _RESTART_SECONDS
            self._early_deaths = self._early_deaths + 1 if time.monotonic() < self._restarts[slot] else 0
            if self._early_deaths == _MAX_EARLY_DEATHS:
                self._end("its workers end as soon as they begin")
                return
        for slot in [slot for slot, when in self._restarts.items() if time.monotonic() >= when]:
            del self._restarts[slot]
            self._fork(slot)

    def _fork(self, slot: Slot) -> None:
        # A TERM that comes before the worker is ready waits for it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        pid = os.fork()
        if not pid:
            self._run_worker(slot)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        slot.claim(pid)
        self._forked[pid] = time.monotonic()

    def _run_worker(self, slot: Slot) -> NoReturn:
        status = 1
        try:
            self._control.close()
            os.close(self._parent)
            os.close(self._lock)
            _redirect_to_null()
            from .worker import Worker

            shared = self._last_commands, self._refusals
            worker = Worker(self._listener, slot, len(self._slots), shared, hooks=not self._stand_in)
            worker.run(self._alive, self._config)
            status = 0
        except BaseException as error:  # noqa: BLE001 - the last words of a process
            self._log.error(f"agent: a worker failed: {type(error).__name__}: {error}")
        finally:
            os._exit(status)

    def _end(self, why: str) -> None:
        """Take no more clients; the workers end with their last command."""
        self._ending = why
        for one in self._sockets:
            one.release_name()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
            while True:  # clients in the queue, which no worker may be left to answer; OSError ends it
                self._listener.accept()[0].close()
        os.close(self._parent)
        # Another agent may begin while the workers of this one end.
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(2)
        try:
            if wire.peer(connection)[1] != os.geteuid():
                return
            request = json.loads(connection.makefile("rb").readline(4096))
            response = self._handle(str(request["do"]), request)
            connection.sendall(json.dumps(response).encode() + b"\n")
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._log.debug(f"agent: a request that can't be answered: {error}")

    def _handle(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        if action == "use" and self._can_serve(request):
            self._refusals.log_again()
            self._registry.add(str(request["user"]), GpbackupProcess.from_json(request.get("process")))
        if action == "release":
            self._registry.release(str(request["user"]))
            self._last_needed = time.monotonic()  # the hooks of segments come after those of their host
        if action == "stop" and not self._ending:
            self._registry.clear()
            self._end("it was stopped")
        if action == "stop_if_unused" and not (self._ending or self._registry.runs or any(s.busy for s in self._slots)):
            self._end("a hook with another environment starts another one")
        if action == "replace" and self._stand_in and not self._ending:
            self._end("a hook starts another one in its place")
        return self._status(request)

    def _can_serve(self, request: dict[str, Any]) -> bool:
        """Whether this agent can serve the backup or restore of a hook."""
        is_same = (
            request["environment"] == digest(os.environ, request.get("protocols", ()))
            and request["version"] == __version__
        )
        return is_same and not self._stand_in and not self._ending

    def _status(self, request: dict[str, Any]) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "environment": digest(os.environ, request.get("protocols", ())),
            "seconds": round(time.monotonic() - self._started),
            "workers": [slot.pid for slot in self._slots],
            "streams": sum(slot.busy for slot in self._slots),
            "served": sum(slot.served for slot in self._slots),
            "refused": self._refusals.counts(),
            "users": sorted(self._registry.runs),
            "signs": self._registry.describe(),
            "stand_in": self._stand_in,
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "control_group": own_group(),
            "ended_with": self._ended_with,
            "ending": self._ending,
        }


def _redirect_to_null() -> None:
    """Let descriptors 0 to 2 lead to /dev/null, so that what libraries print goes nowhere."""
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def _installation() -> tuple[int, ...] | None:
    """The identity of this installation: another one in its place has another."""
    try:
        own, executables = os.stat(sys.modules["fsspec_gp_plugin"].__file__ or ""), os.stat(bin_directory())
    except OSError:
        return None
    return own.st_ino, own.st_mtime_ns, executables.st_dev, executables.st_ino
