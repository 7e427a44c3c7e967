"""Servers of all kinds behind a proxy that breaks connections: how a client is led through it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.servers import gcs_sessions
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import pytest


@dataclass
class Behind:
    """A server, a proxy before it, and storage_options for both ways to it."""

    proxy: Proxy
    url: str
    through: dict[str, Any]
    direct: dict[str, Any]
    # What leads there by another way than `url`.
    direct_url: str = ""


@contextmanager
def gcs(request: pytest.FixtureRequest) -> Iterator[Behind]:
    """With resumable uploads as Google has them. Clients are told where their uploads go on: at the proxy."""
    server = request.getfixturevalue("gcs")
    with gcs_sessions.running(server.endpoint) as front, Proxy(front.endpoint) as proxy:
        front.seen_at = proxy.endpoint
        yield Behind(proxy, server.url, {**server.options, "endpoint_url": proxy.endpoint}, server.options)


BEHIND: dict[str, Callable[[pytest.FixtureRequest], AbstractContextManager[Behind]]] = {"gcs": gcs}
