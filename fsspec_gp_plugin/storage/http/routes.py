"""How a host is reached: directly or through a proxy, in plain text or by TLS. No connection is made here."""

from __future__ import annotations

import http.client
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable


class UnknownProxyError(Exception):
    """The proxy is of a kind that only the provider's library can speak with."""


@dataclass(frozen=True)
class Route:
    """One way to one host; connections of equal routes can stand in for each other."""

    scheme: str
    host: str
    proxy: str | None
    context: ssl.SSLContext | None = field(compare=False)

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

    def connection(self, seconds: float) -> http.client.HTTPConnection:
        """A connection that has yet to be made, within so many seconds."""
        first = urlsplit(self.proxy) if self.proxy else urlsplit(f"//{self.host}")
        host = first.hostname or ""
        if self.context is None:
            return http.client.HTTPConnection(host, first.port or 80, timeout=seconds)
        connection = http.client.HTTPSConnection(
            host, first.port or (80 if self.proxy else 443), timeout=seconds, context=self.context
        )
        if self.proxy:
            there = urlsplit(f"//{self.host}")
            connection.set_tunnel(there.hostname or "", there.port or 443, _authorization(self.proxy))
        return connection


@dataclass(frozen=True)
class Network:
    """What a provider's library was told about the network, for those requests that we make ourselves.

    `timeout`: seconds for which a request may stand still. `verify`: True, False, or a file of certificates;
    `certificates`: the file that True stands for. `client_certificate`: a file, or a pair of certificate and key.
    `proxy_of`: the proxy's URL for a URL, or None.
    """

    timeout: float
    proxy_of: Callable[[str], str | None]
    verify: bool | str = True
    certificates: str | None = None
    client_certificate: str | tuple[str, str] | None = None

    def route(self, url: str) -> Route:
        """The way to a URL's host; UnknownProxyError."""
        parts = urlsplit(url)
        proxy = self.proxy_of(url)
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
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.verify:
            where = self.verify if isinstance(self.verify, str) else self.certificates
            if where is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(where)
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if isinstance(self.client_certificate, str):
            context.load_cert_chain(self.client_certificate)
        elif self.client_certificate:
            context.load_cert_chain(*self.client_certificate)
        return context


def _authorization(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
