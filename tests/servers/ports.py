"""Ports of 127.0.0.1 for servers of the tests. No other run of the tests on this machine gets the same one.

The kernel gives ports of its ephemeral range to any client at any time, so a server that is killed and started again
might not get its port back. These are taken from below that range. A reservation is an abstract UNIX socket: it holds
on the whole machine, leaves no file, and ends with the process, however that ends.
"""

from __future__ import annotations

import functools
import random
import socket
from pathlib import Path

_FIRST, _LAST = 20000, 65535
_held: list[socket.socket] = []


def reserve_port() -> int:
    """A port that nobody listens on. It stays reserved until this process ends."""
    candidates = _candidates()
    random.shuffle(candidates)
    for port in candidates:
        if _reserve(port):
            return port
    raise RuntimeError("all ports for tests are taken")


@functools.cache
def closed_port() -> int:
    """A port that refuses connections, always the same one in this process."""
    port = reserve_port()
    # Bound and not listening: nobody else can listen on it.
    holder = socket.socket()
    holder.bind(("127.0.0.1", port))
    _held.append(holder)
    return port


def _candidates() -> list[int]:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    below, above = range(_FIRST, first), range(max(last + 1, _FIRST), _LAST + 1)
    return list(below or above or range(_FIRST, _LAST + 1))


def _reserve(port: int) -> bool:
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0fsspec_gp_plugin-test-port-{port}")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        lock.close()
        return False
    _held.append(lock)
    return True
