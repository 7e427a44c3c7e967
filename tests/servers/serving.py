"""A server of Python's own, in a thread of the tests."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from socketserver import BaseServer
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

_Server = TypeVar("_Server", bound=BaseServer)


@contextmanager
def serving(server: _Server) -> Iterator[_Server]:
    """It answers until the block ends, and is closed then."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
