"""Servers of all kinds behind a proxy that breaks connections: how a client is led through it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.servers import ftp as ftp_server
from tests.servers import gcs_parts, gcs_sessions
from tests.servers.fixtures import require_package
from tests.servers.ports import reserve_port
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
    # What leads there without the proxy, where that is another URL.
    direct_url: str = ""
    # How a connection stands still so that a backup survives it: a server may keep a file for a client for as long as
    # it does not know that the connection is dead.
    stall: str = "stall"
    # Whether an object is one request, which can't be made again.
    one_request: bool = False
    # Other proxies that belong to the first and have its faults.
    others: list[Proxy] = field(default_factory=list)

    def refuse(self) -> None:
        """As Proxy.refuse(), by all of them."""
        for proxy in (self.proxy, *self.others):
            proxy.refuse()

    def accept(self) -> None:
        """As Proxy.accept(), by all of them."""
        for proxy in (self.proxy, *self.others):
            proxy.accept()


@contextmanager
def gcs(request: pytest.FixtureRequest) -> Iterator[Behind]:
    """With resumable uploads as Google has them."""
    server = request.getfixturevalue("gcs")
    with gcs_sessions.running(server.endpoint) as front, Proxy(front.endpoint) as proxy:
        yield Behind(proxy, server.url, {**server.options, "endpoint_url": proxy.endpoint}, server.options)


@contextmanager
def gcs_in_parts(request: pytest.FixtureRequest) -> Iterator[Behind]:
    server = request.getfixturevalue("gcs")
    with gcs_parts.running(server.endpoint) as front, Proxy(front.endpoint) as proxy:
        direct = {**server.options, "endpoint_url": front.endpoint}
        yield Behind(proxy, server.url, {**server.options, "endpoint_url": proxy.endpoint}, direct)


@contextmanager
def sftp(request: pytest.FixtureRequest) -> Iterator[Behind]:
    server = request.getfixturevalue("sftp")
    with Proxy(f"127.0.0.1:{server.port}") as proxy:
        url = server.url.replace(f":{server.port}/", f":{proxy.port}/")
        yield Behind(proxy, url, server.options_at(proxy.port), server.options, server.url)


@contextmanager
def hdfs(request: pytest.FixtureRequest) -> Iterator[Behind]:
    """The proxy stands before the data node."""
    server = request.getfixturevalue("hdfs")
    with Proxy(f"127.0.0.1:{server.data_port}") as proxy:
        way = {f":{server.data_port}/": f":{proxy.port}/"}
        yield Behind(proxy, server.url, {**server.options, "data_proxy": way}, server.options, stall="swallow")


@contextmanager
def smb(request: pytest.FixtureRequest) -> Iterator[Behind]:
    server = request.getfixturevalue("smb")
    with Proxy(f"127.0.0.1:{server.port}") as proxy:
        yield Behind(proxy, server.url, {**server.options, "port": proxy.port}, server.options)


@contextmanager
def webdav(request: pytest.FixtureRequest) -> Iterator[Behind]:
    server = request.getfixturevalue("webdav")
    with Proxy(f"127.0.0.1:{server.port}") as proxy:
        yield Behind(
            proxy, server.url, {**server.options, "base_url": proxy.endpoint}, server.options, one_request=True
        )


@contextmanager
def ftp(request: pytest.FixtureRequest) -> Iterator[Behind]:
    """FTP carries the bytes of each file on a connection of its own, to a port that the server names: a server of its
    own names those of more proxies. Clients that go directly to its control connection get there, too.
    """
    require_package("ftp", "pyftpdlib")
    with ExitStack() as stack:
        ports = [reserve_port() for _ in range(16)]
        others = [stack.enter_context(Proxy(f"127.0.0.1:{port}")) for port in ports]
        folder = request.getfixturevalue("tmp_path_factory").mktemp("ftp-behind")
        data_ports = {port: other.port for port, other in zip(ports, others, strict=True)}
        server = stack.enter_context(ftp_server.run(folder, data_ports=data_ports))
        proxy = stack.enter_context(Proxy(f"127.0.0.1:{server.port}"))
        for other in others:
            other.faults = proxy.faults
        yield Behind(proxy, server.url, {**server.options, "port": proxy.port}, server.options, others=others)


BEHIND: dict[str, Callable[[pytest.FixtureRequest], AbstractContextManager[Behind]]] = {
    "gcs": gcs,
    "gcs_in_parts": gcs_in_parts,
    "sftp": sftp,
    "hdfs": hdfs,
    "smb": smb,
    "ftp": ftp,
    "webdav": webdav,
}
