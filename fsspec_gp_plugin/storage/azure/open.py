"""Opens the store of an abfs://, abfss:// or az:// URL, with adlfs' options."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from ...errors import ConfigError
from ..http.routes import Network
from .account import check_types, open_account, place
from .requests import Blobs
from .store import AzureStore


def open_azure(url: str, options: dict[str, Any], timeout: float) -> AzureStore:
    """Return the store below a URL; the options are those of adlfs.AzureBlobFileSystem.

    Those of fsspec's configuration files, FSSPEC_ABFS_… and AZURE_STORAGE_… variables count below them, as in any
    fsspec program. `timeout`: seconds without progress after which a request fails.
    """
    check_types(options)
    container, prefix, options = place(url, options)
    account = open_account(options)
    blobs = Blobs(account, container, _network(account.endpoint, timeout))
    finds = not any(options.get(name) for name in ("account_key", "sas_token", "connection_string"))
    return AzureStore(url.partition("://")[0], blobs, prefix, finds_credentials=finds)


def _network(endpoint: str, timeout: float) -> Network:
    """Return the network settings that Azure's library takes from the environment, as adlfs has no options for them:
    HTTP_PROXY, HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE, SSL_CERT_DIR. Raises ConfigError for unusable ones.
    """
    file = os.environ.get("SSL_CERT_FILE")
    if endpoint.startswith("https://") and file:
        _check_certificates(file)
    proxy = _proxy(endpoint)
    return Network(timeout=timeout, proxy_of=lambda _: proxy)


def _proxy(endpoint: str) -> str | None:
    """Return the URL of the proxy to the endpoint, or None."""
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
