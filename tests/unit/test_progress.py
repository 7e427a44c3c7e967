"""What is known of a request that was cut off: how much of it was sent."""

from __future__ import annotations

import socket
import threading

import pytest

from fsspec_gp_plugin.storage.http.routes import Network
from fsspec_gp_plugin.storage.http.transport import Transport
from fsspec_gp_plugin.storage.link import Attempt

MIB = 1 << 20


def test_who_repeats_a_request_knows_how_much_it_had_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def break_off() -> None:
            connection, _ = server.accept()
            left = 20 * MIB
            while left > 0:
                left -= len(connection.recv(MIB))
            connection.close()

        breaking = threading.Thread(target=break_off)
        breaking.start()
        attempt = Attempt()
        transport = Transport(Network(timeout=20.0, proxy_of=lambda _: None))
        with pytest.raises(OSError, match=r"."):
            transport.exchange("PUT", f"http://127.0.0.1:{server.getsockname()[1]}/x", {}, memoryview(bytes(64 * MIB)))
        breaking.join()
    # In steps of a megabyte; some more may be in buffers on the way.
    assert 19 * MIB <= attempt.sent < 64 * MIB
    assert attempt.seconds_of_sending > 0
