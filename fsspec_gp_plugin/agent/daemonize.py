"""How a process becomes the agent: what it keeps of whoever started it, and what it imports before it forks."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import time
from contextlib import suppress
from importlib import import_module

from ..providers import provider_of
from . import wire
from .launch import ATTEMPT
from .registry import SUFFIX
from .server import CONTROL, Server

_LOCK = ".lock"
_KEPT_SECONDS = 30 * 86400.0
# What takes long to import and is the same for all streams; none of it starts a thread, which a fork would lose.
_PRELOADED = (
    "call", "protocol.data", "protocol.hooks", "storage.open", "config.loading", "agent.worker",
    "backups.catalog_build", "integrity.catalog", "integrity.manifest",
)  # fmt: skip


def serve(idle: float, protocol: str, ready: int, *, config: str = "", stand_in: bool = False) -> int:
    """Be the agent until nobody needs it, or nobody came for `idle` seconds.

    `protocol`: of the URL that is going to be used. `ready`: a descriptor that is told when clients may come.
    `config`: the configuration that is going to be used, or "". `stand_in`: a data command has started it.
    """
    directory = wire.open_directory(wire.home(), make=True)
    name = wire.socket_name()
    lock = os.open(name + _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=directory)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0  # there is one
    os.utime(lock)
    _settle_down()
    _sweep(directory)
    _preload(protocol)
    return Server(directory, name, idle, lock, config=config, stand_in=stand_in).run(ready)


def _sweep(directory: int) -> None:
    """Remove what agents of installations that are gone have left: files whose lock nobody has had for a month."""
    for found in os.listdir(directory):
        name, dot, suffix = found.rpartition(".")
        if dot + suffix != _LOCK:
            continue
        with suppress(OSError):  # it is held, or gone already
            lock = os.open(found, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory)
            try:
                if time.time() - os.fstat(lock).st_mtime > _KEPT_SECONDS:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    for one in ("", CONTROL, SUFFIX, ATTEMPT, _LOCK):
                        with suppress(FileNotFoundError):
                            os.unlink(name + one, dir_fd=directory)
            finally:
                os.close(lock)


def _settle_down() -> None:
    """Keep nothing of whoever started us but the environment."""
    os.chdir("/")
    os.umask(0o077)
    with suppress(OSError):  # only root may
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    # The database's server ignores some, gpbackup_helper HUP. Those that Python ignores itself stay so.
    for signum in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError, ValueError):
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # Each stream has a dozen descriptors.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536) if most > 0 else 65536, most))


def _preload(protocol: str) -> None:
    modules = [f"fsspec_gp_plugin.{module}" for module in _PRELOADED]
    for module in ("yaml", *modules, *provider_of(protocol).preload):
        with suppress(ImportError):  # a call that needs it will say so
            import_module(module)
