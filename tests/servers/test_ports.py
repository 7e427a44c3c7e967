"""The ports that the tests' servers get."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.ports import closed_port, reserve_port

_HOLD = "import tests.servers.ports as p; print(p.reserve_port(), flush=True); input()"
_TRY = "import sys, tests.servers.ports as p; p._candidates = lambda: [int(sys.argv[1])]; p.reserve_port()"
_ROOT = Path(__file__).parents[2]


def can_be_reserved(port: str) -> bool:
    """Whether another process gets that port."""
    tried = subprocess.run([sys.executable, "-c", _TRY, port], cwd=_ROOT, capture_output=True, check=False)
    assert tried.returncode == 0 or b"all ports for tests are taken" in tried.stderr
    return tried.returncode == 0


def test_a_port_is_given_once_and_never_one_that_the_kernel_gives_to_clients() -> None:
    ports = [reserve_port() for _ in range(50)]
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert len(set(ports)) == 50
    assert not [port for port in ports if first <= port <= last]


def test_another_process_gets_a_port_only_when_the_one_that_holds_it_has_been_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD], cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        port = holder.stdout.readline().strip()
        try:
            assert not can_be_reserved(port)
        finally:
            holder.kill()
        holder.wait()
        assert can_be_reserved(port)


def test_a_port_on_which_something_listens_is_not_given() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert not can_be_reserved(str(other.getsockname()[1]))


def test_a_closed_port_refuses_connections_and_nobody_else_can_listen_on_it() -> None:
    assert closed_port() == closed_port()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", closed_port()))
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", closed_port()))
