"""How many descriptors streams may still open: one that finds none in its midst fails, where alone it would not."""

from __future__ import annotations

import os
import resource
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config.loading import Config

# What one stream has open at the most: its client's line and descriptors, files; and for each request in flight a
# connection, or, by FTP, two.
_STREAM = 16
_REQUEST = 2
# Counting takes as long as many are open; those that streams open meanwhile are promised to them.
_COUNT_SECONDS = 0.25


def most_of_stream(config: Config) -> int:
    """How many descriptors a stream with that configuration may open."""
    requests = max(config.backup_max_concurrent_requests, config.restore_max_concurrent_requests)
    return (_STREAM + _REQUEST * requests) * (1 if config.replica is None else 2)


class Descriptors:
    """Those of a process, promised to the threads in which its streams run."""

    def __init__(self) -> None:
        """Nothing is promised yet."""
        self._lock = threading.Lock()
        self._promised: dict[int, int] = {}
        self._open = 0
        self._counted = 0.0

    def promise(self, count: int) -> bool:
        """Whether this thread may open so many, beside those that are open and all that is promised to others."""
        with self._lock:
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            now = time.monotonic()
            if now >= self._counted + _COUNT_SECONDS:
                try:
                    self._open, self._counted = len(os.listdir("/proc/self/fd")), now
                except OSError:  # counting needs one, too
                    return False
            if self._open + sum(self._promised.values()) + count > limit:
                return False
            self._promised[threading.get_ident()] = count
            return True

    def give_back(self) -> None:
        """What this thread has not opened, it won't; what it has left open is counted."""
        with self._lock:
            self._promised.pop(threading.get_ident(), None)
