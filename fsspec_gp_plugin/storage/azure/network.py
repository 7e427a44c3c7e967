"""How Azure's own library would reach the account: by the variables of the environment, as adlfs gives it no options.

Proxies: HTTP_PROXY, HTTPS_PROXY, NO_PROXY. Certificates: those of the system, SSL_CERT_FILE, SSL_CERT_DIR.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from ...errors import ConfigError
from ..http.routes import Network


def network(endpoint: str, timeout: float) -> Network:
    """The ways from here; ConfigError where variables name what can't be used."""
    file = os.environ.get("SSL_CERT_FILE")
    if endpoint.startswith("https://") and file:
        _check_certificates(file)
    proxy = _proxy(endpoint)
    return Network(timeout=timeout, proxy_of=lambda _: proxy)


def _proxy(endpoint: str) -> str | None:
    """The proxy's URL for the account's, or None."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(endpoint)
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(parts.hostname or ""):
        return None
    what = f"{parts.scheme}_proxy in the environment"
    try:
        there = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        understood = bool(there.hostname) and there.port != 0 and "@" not in there.path
    except ValueError:
        understood = False
    if not understood:  # it is not quoted, as a password may be in it
        raise ConfigError(f"{what}: the proxy's URL can't be understood; expected http://host:port")
    if there.scheme != "http":
        raise ConfigError(f"{what}: a proxy of scheme {there.scheme!r} can't be used, only one of http")
    return proxy


def _check_certificates(file: str) -> None:
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise ConfigError(f"SSL_CERT_FILE: the certificates in {file} can't be used: {reason}") from None
