"""Connects to hosts: directly or through a proxy, in plain text or by TLS."""

from __future__ import annotations

import socket
from base64 import b64encode
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from .connection import Response, request_head

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


class CannotConnectError(ConnectionError):
    """There is no connection; the message names the host."""


class ProxyConnectionError(ConnectionError):
    """The proxy can't be reached."""


class UnknownProxyError(Exception):
    """Only the provider's library can use a proxy of this kind."""


class Route(NamedTuple):
    """A way to reach a host; connections of equal routes are interchangeable."""

    scheme: str
    host: str
    proxy: str | None
    context: ssl.SSLContext | None

    def __str__(self) -> str:
        """Return where it leads, for messages, without the proxy's password."""
        there = f"{self.scheme}://{self.host}"
        return f"{there} through {(self.proxy or '').rpartition('@')[2]}" if self.proxy else there

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the proxy needs with each request."""
        return _authorization(self.proxy) if self.proxy and self.scheme == "http" else {}

    def target(self, url: str) -> str:
        """Return the target of the request line: the whole URL for a forwarding proxy, else its path."""
        if self.proxy and self.scheme == "http":
            return url
        parts = urlsplit(url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def connect(self, seconds: float) -> socket.socket:
        """A connection, where each step of the way has so many seconds. OSError; CannotConnectError and
        ProxyConnectionError where there was nobody to talk to.
        """
        first = urlsplit(self.proxy) if self.proxy else urlsplit(f"//{self.host}")
        try:
            port = first.port or (443 if self.context and not self.proxy else 80)
            host: Any = first.hostname or ""
            # As bytes: for text Python would load its Unicode tables.
            sock = socket.create_connection((host.encode() if host.isascii() else host, port), seconds)
        except OSError as error:
            if self.proxy and (error.errno or isinstance(error, TimeoutError)):
                raise ProxyConnectionError(f"{self}: {error}") from error
            raise CannotConnectError(f"{self}: {error}") from error
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock if self.context is None else self._secured(sock, self.context)
        except BaseException as error:
            sock.close()
            # TLS errors are raised as they are.
            if isinstance(error, OSError) and not is_of_tls(error, "SSLError"):
                raise CannotConnectError(f"{self}: {error}") from error
            raise

    def _secured(self, sock: socket.socket, context: ssl.SSLContext) -> socket.socket:
        there = urlsplit(f"//{self.host}")
        if self.proxy:
            target = f"{self.host.rpartition(':')[0] if there.port else self.host}:{there.port or 443}"
            sock.sendall(request_head("CONNECT", target, {"Host": target, **_authorization(self.proxy)}))
            answer = Response(sock, "CONNECT")
            answer.close()
            if answer.status != 200:
                raise OSError(f"Tunnel connection failed: {answer.status}")
        return context.wrap_socket(sock, server_hostname=there.hostname)


def is_of_tls(error: BaseException, *names: str) -> bool:
    """Return whether an error is of one of these classes of the module ssl, without importing it."""
    return any(kind.__name__ in names and kind.__module__ == "ssl" for kind in type(error).__mro__)


class Network:
    """The network settings of a provider's library, for the requests that this package makes itself."""

    def __init__(
        self,
        timeout: float,
        proxy_of: Callable[[str], str | None],
        verify: bool | str = True,
        certificates: str | None = None,
        client_certificate: str | tuple[str, str] | None = None,
    ) -> None:
        """`timeout`: seconds for which a request may stand still. `verify`: True, False, or a file of certificates;
        `certificates`: the file that True stands for. `client_certificate`: a file, or a pair of certificate and key.
        `proxy_of`: the proxy's URL for a URL, or None.
        """
        self.timeout = timeout
        self._proxy_of = proxy_of
        self._verify = verify
        self._certificates = certificates
        self._client_certificate = client_certificate

    @property
    def verifies(self) -> bool:
        """Return whether the certificates of hosts are verified."""
        return bool(self._verify)

    def route(self, url: str) -> Route:
        """Return the route to a URL's host. Raises UnknownProxyError."""
        parts = urlsplit(url)
        proxy = self._proxy_of(url)
        if proxy and "://" not in proxy:
            proxy = f"http://{proxy.removeprefix('//')}"
        if proxy and not proxy.startswith("http://"):
            raise UnknownProxyError("a proxy of another scheme than http")
        default = {"http": 80, "https": 443}[parts.scheme]
        name = parts.netloc.rpartition("@")[2]
        if parts.port == default:
            name = name.rpartition(":")[0]
        return Route(parts.scheme, name, proxy, self._context if parts.scheme == "https" else None)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        import ssl  # not needed without TLS

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._verify:
            where = self._verify if isinstance(self._verify, str) else self._certificates
            if where is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(where)
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if isinstance(self._client_certificate, str):
            context.load_cert_chain(self._client_certificate)
        elif self._client_certificate:
            context.load_cert_chain(*self._client_certificate)
        return context


def _authorization(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
