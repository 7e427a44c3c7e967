"""Turns a process into the agent: it keeps nothing of the process that launched it, and imports what its workers need
before they are forked.
"""

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
from .server import Server

_LOCK = ".lock"
_KEPT_SECONDS = 30 * 86400.0
# What takes long to import and is the same for all streams; none of it starts a thread, which a fork would lose.
_PRELOADED = (
    "call", "protocol.data", "protocol.hooks", "storage.open", "config.loading", "agent.worker",
    "backups.catalog_build", "integrity.catalog", "integrity.manifest",
)  # fmt: skip


def serve(idle: float, protocol: str, ready: int, *, config: str = "", stand_in: bool = False) -> int:
    """Be the agent until no backup or restore needs it, or no command has come for `idle` seconds.

    `protocol`: the one of the URL that is going to be used. `ready`: a descriptor that gets a line when clients may
    come. `config`: the configuration that is going to be used, or "". `stand_in`: a data command has started it.
    """
    directory = wire.open_directory(wire.home(), make=True)
    name = wire.socket_name()
    lock = os.open(name + _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=directory)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0  # there is an agent
    os.utime(lock)
    _detach()
    _remove_leftovers(directory)
    _preload(protocol)
    return Server(directory, name, idle, lock, config=config, stand_in=stand_in).run(ready)


def _remove_leftovers(directory: int) -> None:
    """Remove the files of agents whose installations are gone: nobody has held their lock for a month."""
    for file in os.listdir(directory):
        name, dot, suffix = file.rpartition(".")
        if dot + suffix != _LOCK:
            continue
        with suppress(OSError):  # it is held, or gone already
            lock = os.open(file, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory)
            try:
                if time.time() - os.fstat(lock).st_mtime > _KEPT_SECONDS:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    for ending in ("", wire.CONTROL, SUFFIX, ATTEMPT, _LOCK):
                        with suppress(FileNotFoundError):
                            os.unlink(name + ending, dir_fd=directory)
            finally:
                os.close(lock)


def _detach() -> None:
    """Keep nothing but the environment of the process that started this one."""
    os.chdir("/")
    os.umask(0o077)
    with suppress(OSError):  # only root may
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    # The database's server ignores some signals, gpbackup_helper ignores HUP. Those that Python itself ignores stay so.
    for signum in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError, ValueError):
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # Each stream has a dozen descriptors.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))


def _preload(protocol: str) -> None:
    modules = [f"fsspec_gp_plugin.{module}" for module in _PRELOADED]
    for module in ("yaml", *modules, *provider_of(protocol).preload):
        with suppress(ImportError):  # a call that needs it will say so
            import_module(module)
