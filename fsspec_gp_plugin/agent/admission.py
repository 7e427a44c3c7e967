"""Which calls a worker takes: those that it can serve exactly as the client itself would."""

from __future__ import annotations

import os
import resource
import threading
import time
from typing import TYPE_CHECKING

from .. import __version__, commands
from .environment import differing, place
from .wire import ARGUMENTS, DESCRIPTORS, ENVIRONMENT, HOOK, OFF, PLACE, UNUSUAL, VERSION, Refusal, Request

if TYPE_CHECKING:
    from ..config.loading import Config
    from .cache import Cache

COMMANDS = {name: command for name, command in commands.COMMANDS.items() if command.is_for_agent}

# What one stream has open at the most: its client's connection and descriptors, files; and for each request in flight
# one connection, or, by FTP, two.
_PER_STREAM = 16
_PER_REQUEST = 2
# Counting takes the longer the more are open; what streams open between two counts has been promised to them.
_COUNT_SECONDS = 0.25


class Admission:
    """Decides which calls the worker takes, and what a client must have in common with it."""

    def __init__(self, cache: Cache, *, hooks: bool) -> None:
        """`cache` keeps configurations. Without `hooks` the setup and cleanup hooks are refused."""
        self._cache = cache
        self._hooks = hooks
        self._environment = dict(os.environ)
        self._place = place()
        self.descriptors = DescriptorBudget()

    def admit(self, request: Request) -> Config:
        """Promise descriptors to this thread, and return the configuration of the request. Raises Refusal or
        ConfigError.
        """
        if request.version != __version__ or request.arguments[0] not in COMMANDS:
            raise Refusal(VERSION)
        if len(request.arguments) < 3:
            raise Refusal(ARGUMENTS)
        if not self._hooks and COMMANDS[request.arguments[0]].is_hook:
            raise Refusal(HOOK)
        # Any other umask changes nothing in what is made with mode 0600 and 0700.
        if request.umask & 0o700 or not request.cwd.startswith("/"):
            raise Refusal(UNUSUAL)
        if request.place != self._place:
            raise Refusal(PLACE)
        config = self._cache.config(os.path.join(request.cwd, request.arguments[1]), request.environment)
        if not config.agent:
            raise Refusal(OFF)
        if names := differing(request.environment, self._environment, config):
            raise Refusal(ENVIRONMENT, ", ".join(names))
        if not self.descriptors.promise(descriptors_of_stream(config)):
            raise Refusal(DESCRIPTORS)
        return config


def descriptors_of_stream(config: Config) -> int:
    """How many descriptors a stream with that configuration may open."""
    requests = max(config.backup_max_concurrent_requests, config.restore_max_concurrent_requests)
    return (_PER_STREAM + _PER_REQUEST * requests) * (1 if config.replica is None else 2)


class DescriptorBudget:
    """The descriptors of a process, promised to the threads in which its streams run: a stream that gets none in its
    midst fails in the agent, where alone it would not.
    """

    def __init__(self) -> None:
        """Nothing is promised yet."""
        self._lock = threading.Lock()
        self._promised: dict[int, int] = {}
        self._open = 0
        self._counted = 0.0

    def promise(self, count: int) -> bool:
        """Promise `count` descriptors to this thread, unless they don't fit beside those that are open and those that
        are promised to others. Returns whether they fit.
        """
        with self._lock:
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            now = time.monotonic()
            if now >= self._counted + _COUNT_SECONDS:
                try:
                    self._open, self._counted = len(os.listdir("/proc/self/fd")), now
                except OSError:  # counting needs a descriptor, too
                    return False
            if self._open + sum(self._promised.values()) + count > limit:
                return False
            self._promised[threading.get_ident()] = count
            return True

    def release(self) -> None:
        """Take this thread's promise back: it opens no more, and what it has left open is counted."""
        with self._lock:
            self._promised.pop(threading.get_ident(), None)
