"""How a host is reached: directly or through a proxy, in plain text or by TLS."""

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
    """No connection was made; the message names the host."""


class ProxyConnectionError(ConnectionError):
    """The proxy can't be reached."""


class UnknownProxyError(Exception):
    """The proxy is of a kind that only the provider's library can speak with."""


class Route(NamedTuple):
    """One way to one host; connections of equal routes can stand in for each other."""

    scheme: str
    host: str
    proxy: str | None
    context: ssl.SSLContext | None

    def __str__(self) -> str:
        """For messages: where it leads, without the proxy's password."""
        there = f"{self.scheme}://{self.host}"
        return f"{there} through {(self.proxy or '').rpartition('@')[2]}" if self.proxy else there

    @property
    def headers(self) -> dict[str, str]:
        """What the proxy wants to see with each request."""
        return _authorization(self.proxy) if self.proxy and self.scheme == "http" else {}

    def target(self, url: str) -> str:
        """What stands in the request's first line: all of the URL for a proxy that forwards, else its path."""
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
            # As bytes, or Python would load its tables of Unicode for names that need none.
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
            # What TLS has to say is told as it is.
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
    """Whether an error is of one of these classes of the module ssl, which takes long to import."""
    return any(kind.__name__ in names and kind.__module__ == "ssl" for kind in type(error).__mro__)


class Network:
    """What a provider's library was told about the network, for those requests that we make ourselves."""

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
        """Whether the certificates of hosts are verified."""
        return bool(self._verify)

    def route(self, url: str) -> Route:
        """The way to a URL's host; UnknownProxyError."""
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
        import ssl  # where there is no TLS, it is not needed

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
