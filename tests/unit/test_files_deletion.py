"""Files of a server are deleted over several connections at once, as far as it takes them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from fsspec_gp_plugin.errors import Unreachable
from fsspec_gp_plugin.storage.files.dialect import Dialect
from fsspec_gp_plugin.storage.files.store import FsspecStore
from fsspec_gp_plugin.storage.retry import RetryingStore
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy


class Server(Dialect):
    """Takes so many connections; `together`: where as many deletions wait for each other."""

    deletions_at_once = 4

    def __init__(self, most: int, together: int = 1) -> None:
        super().__init__(lambda: None)
        self.files = {f"/root/{n}" for n in range(400)}
        self.most, self.open = most, 0
        self.together = threading.Barrier(together)
        self.lock = threading.Lock()

    def connect(self) -> Any:
        with self.lock:
            if self.open == self.most:
                raise ConnectionResetError("too many connections")
            self.open += 1
        return object()

    def disconnect(self, fs: Any) -> None:
        del fs
        with self.lock:
            self.open -= 1

    def remove(self, fs: Any, path: str) -> None:
        del fs
        self.together.wait(30)
        self.files.remove(path)


KEYS = [str(n) for n in range(400)]


def test_four_go_at_a_time() -> None:
    server = Server(4, together=4)  # with fewer at once it would break
    store = FsspecStore(server, "/root")
    store.delete(KEYS)
    assert server.files == set()
    store.close()
    assert server.open == 0


def test_a_server_that_takes_fewer_connections_gets_fewer() -> None:
    server = Server(1)
    store = RetryingStore(FsspecStore(server, "/root"), RetryPolicy(60.0, retries=3, first_pause=0.01))
    store.delete(KEYS)
    assert server.files == set()
    store.close()


def test_one_that_takes_none_is_out_of_reach() -> None:
    store = FsspecStore(Server(0), "/root")
    with pytest.raises(Unreachable):
        store.delete(KEYS)
