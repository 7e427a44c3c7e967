"""The agent's first process: it listens, forks the workers, knows who needs it, and leaves when nobody does."""

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
from .listening import Listening
from .refusals import Refusals
from .registry import SUFFIX, Registry
from .shared_counters import Signs, slots

if TYPE_CHECKING:
    from .shared_counters import Slot

CONTROL = ".control"
_LOOK_SECONDS = 1.0
# A worker that dies is replaced so long after its birth at the soonest; many in a row that die so young end the agent.
_PAUSE_SECONDS = 5.0
_MOST_DEATHS = 10


def workers_for(cores: int) -> int:
    """How many processes: one a core; more than eight were never needed to fill a host's network."""
    return max(1, min(cores, 8))


class Server:
    """Listens on two sockets: one for clients, whom the workers serve, one for hooks and people."""

    def __init__(
        self, directory: int, name: str, idle: float, lock: int, *, config: str = "", stand_in: bool = False
    ) -> None:
        """`directory` is open; the sockets' names begin with `name`; who has the `lock` may have them. `idle`: it ends
        after so many seconds without a command and without users. `config`: the configuration that is going to be used,
        or "". `stand_in`: a data command has started it, so it may be slower than a hook's, and serves no hooks.
        """
        self._lock = lock
        self._idle = idle
        self._sockets = [Listening(directory, one) for one in (name, name + CONTROL)]
        self._listener, self._control = (one.socket for one in self._sockets)
        self._control.settimeout(_LOOK_SECONDS)
        self._slots: list[Slot] = slots(workers_for(len(os.sched_getaffinity(0))))
        self._alive, self._parent = os.pipe2(os.O_CLOEXEC)
        self._started = time.monotonic()
        self._stand_in = stand_in
        self._config = config
        self._signs = Signs()
        self._refusals = Refusals(len(self._slots))
        self._registry = Registry(directory, name + SUFFIX, self._signs)
        self._last_user = time.monotonic()
        self._born: dict[int, float] = {}
        self._due: dict[Slot, float] = {}  # when dead workers' successors may be born
        self._deaths = 0
        self._ending = ""
        self._is_to_end = False
        self._ended_with = ""
        self._inquiry: Inquiry | None = None  # hooks wait for us, and systemd may hang
        self._installed = _installation()
        self._log = Log()

    def run(self, ready: int) -> int:
        """Serve, and tell `ready` so. TERM is another word for "stop", but who needs it may start another one."""
        signal.signal(signal.SIGTERM, self._note_term)
        for slot in self._slots:
            self._fork(slot)
        self._log.info(f"agent started, {len(self._slots)} workers, version {__version__}")
        with suppress(OSError):  # whoever started us has gone
            os.write(ready, b"ready\n")
        _say_nothing()
        with suppress(Exception):  # it is a courtesy
            self._inquiry = Inquiry(own_group())
        while self._born or (self._due and not self._ending):
            try:
                with self._control.accept()[0] as line:
                    self._answer(line)
            except TimeoutError:
                pass
            except OSError as error:
                self._log.error(f"agent: {error}")
                time.sleep(_LOOK_SECONDS)
            self._look_around()
        counts = [f"{sum(slot.served for slot in self._slots)} commands served"]
        counts += [f"{count} not, as {reason}" for reason, count in self._refusals.counts().items()]
        self._log.info(f"agent ended: {self._ending}, {', '.join(counts)}")
        return 0

    def _note_term(self, *_: object) -> None:
        self._is_to_end = True

    def _look_around(self) -> None:
        self._reap()
        if self._inquiry is not None and (found := self._inquiry.answer()) is not None:
            self._inquiry, self._ended_with = None, found
            if found:
                self._log.warning(f"agent: it ends with {found}, and with it the streams of other runs")
        if self._is_to_end and not self._ending:
            self._end("it got SIGTERM")
        if not self._ending and any(one.is_lost() for one in self._sockets):
            self._end("its socket is gone")
        if self._ending:
            return
        for user in self._registry.forget_gone():
            self._log.info(f"agent: forgotten, as its gpbackup has ended or was quiet for a day: {user}")
        if self._registry.users:
            self._last_user = time.monotonic()
        quiet = time.monotonic() - max(self._last_user, *(slot.last for slot in self._slots))
        if _installation() != self._installed:
            self._end("its installation was replaced")
        elif quiet > self._idle:
            self._end(f"no backup or restore needs it, and no command came for {quiet:.0f} s")

    def _reap(self) -> None:
        for slot in self._slots:
            if slot.pid not in self._born:
                continue
            pid, status = os.waitpid(slot.pid, os.WNOHANG)
            if not pid:
                continue
            born = self._born.pop(pid)
            if self._ending:
                continue
            self._log.error(f"agent: a worker ended unexpectedly, status {os.waitstatus_to_exitcode(status)}")
            self._due[slot] = born + _PAUSE_SECONDS
            self._deaths = self._deaths + 1 if time.monotonic() < self._due[slot] else 0
            if self._deaths == _MOST_DEATHS:
                self._end("its workers end as soon as they begin")
                return
        for slot in [slot for slot, when in self._due.items() if time.monotonic() >= when]:
            del self._due[slot]
            self._fork(slot)

    def _fork(self, slot: Slot) -> None:
        # One that comes while the worker is not ready for it is the worker's all the same.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        pid = os.fork()
        if not pid:
            self._be_worker(slot)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        slot.claim(pid)
        self._born[pid] = time.monotonic()

    def _be_worker(self, slot: Slot) -> NoReturn:
        status = 1
        try:
            self._control.close()
            os.close(self._parent)
            os.close(self._lock)
            _say_nothing()
            from .worker import Worker

            seen = self._signs, self._refusals
            worker = Worker(self._listener, slot, len(self._slots), seen, hooks=not self._stand_in)
            if self._config:
                worker.warm_up(self._config)
            worker.run(self._alive)
            status = 0
        except BaseException as error:  # noqa: BLE001 - the last words of a process
            self._log.error(f"agent: a worker failed: {type(error).__name__}: {error}")
        finally:
            os._exit(status)

    def _end(self, why: str) -> None:
        """Take no more clients; the workers end with their last command."""
        self._ending = why
        for one in self._sockets:
            one.give_up_name()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
            while True:  # those in the queue, whom no worker may be left to answer; an error when there are no more
                self._listener.accept()[0].close()
        os.close(self._parent)
        # While ours end, another agent may begin.
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _answer(self, line: socket.socket) -> None:
        line.settimeout(2)
        try:
            if wire.peer(line)[1] != os.geteuid():
                return
            asked = json.loads(line.makefile("rb").readline(4096))
            answer = self._done(str(asked["do"]), asked)
            line.sendall(json.dumps(answer).encode() + b"\n")
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._log.debug(f"agent: a question that can't be answered: {error}")

    def _done(self, what: str, asked: dict[str, Any]) -> dict[str, Any]:
        if what == "use" and self._serves(asked):
            self._refusals.tell_again()
            self._registry.add(str(asked["user"]), GpbackupProcess.from_json(asked.get("process")))
        if what == "release":
            self._registry.remove(str(asked["user"]))
            self._last_user = time.monotonic()  # the hooks of segments come after those of their host
        if what == "stop" and not self._ending:
            self._registry.clear()
            self._end("it was stopped")
        if what == "stop_if_unused" and not (self._ending or self._registry.users or any(s.busy for s in self._slots)):
            self._end("a hook with another environment starts another one")
        if what == "replace" and self._stand_in and not self._ending:
            self._end("a hook starts another one in its place")
        return self._status(asked)

    def _serves(self, asked: dict[str, Any]) -> bool:
        """Whether a hook's backup or restore can be served by this agent."""
        is_same = (
            asked["environment"] == digest(os.environ, asked.get("protocols", ())) and asked["version"] == __version__
        )
        return is_same and not self._stand_in and not self._ending

    def _status(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "environment": digest(os.environ, asked.get("protocols", ())),
            "seconds": round(time.monotonic() - self._started),
            "workers": [slot.pid for slot in self._slots],
            "streams": sum(slot.busy for slot in self._slots),
            "served": sum(slot.served for slot in self._slots),
            "refused": self._refusals.counts(),
            "users": sorted(self._registry.users),
            "signs": self._registry.described(),
            "stand_in": self._stand_in,
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "control_group": own_group(),
            "ended_with": self._ended_with,
            "ending": self._ending,
        }


def _say_nothing() -> None:
    """Descriptors 0 to 2 lead nowhere, whatever a library prints."""
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def _installation() -> tuple[int, ...] | None:
    """What tells this installation from another one in its place."""
    try:
        own, executables = os.stat(sys.modules["fsspec_gp_plugin"].__file__ or ""), os.stat(bin_directory())
    except OSError:
        return None
    return own.st_ino, own.st_mtime_ns, executables.st_dev, executables.st_ino
