"""Proxies and certificates of S3 by options and environment, verified before any request.

The libraries look at them with the first connection, where a missing file looks like a missing object, or like a
connection that failed and is tried again for minutes; and their messages quote what they don't understand.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...errors import ConfigError
from ..http.routes import Network

if TYPE_CHECKING:
    from collections.abc import Callable


def check_certificates(options: dict[str, Any]) -> None:
    """Raises ConfigError for a file of certificates that is not there or holds something else."""
    what, verify = verification(options)
    if isinstance(verify, str):
        _load(what, "load_verify_locations", verify)
    shown = (options.get("config_kwargs") or {}).get("client_cert")
    if shown:
        _load("client_cert in config_kwargs", "load_cert_chain", *([shown] if isinstance(shown, str) else shown))


def verification(options: dict[str, Any]) -> tuple[str, bool | str]:
    """Where options or environment say how to verify the store's certificate, and what they say: whether to verify it,
    or the file of the authorities to trust.
    """
    verify = (options.get("client_kwargs") or {}).get("verify")
    if verify is not None:
        return "verify in client_kwargs", verify
    variables = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
    return next(((name, os.environ[name]) for name in variables if os.environ.get(name)), ("", True))


def _load(what: str, method: str, *files: str) -> None:
    import ssl  # not needed where no file is named

    try:
        getattr(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), method)(*files)
    except (OSError, TypeError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        names = " and ".join(map(str, files))
        raise ConfigError(f"{what}: the certificates in {names} can't be used: {reason}") from None


def check_proxies(options: dict[str, Any]) -> None:
    """Raises ConfigError for a proxy whose URL can't be understood, without the URL, as it may hold a password."""
    proxies = (options.get("config_kwargs") or {}).get("proxies")
    if proxies is None:
        urls = {name: value for name, value in os.environ.items() if name.lower() in ("http_proxy", "https_proxy")}
    elif isinstance(proxies, dict):
        urls = {f"proxies in config_kwargs, {scheme}": url for scheme, url in proxies.items()}
    else:
        raise ConfigError("proxies in config_kwargs must be a mapping of `http` and `https` to URLs")
    for what, url in urls.items():
        if url and not _is_proxy(url):
            raise ConfigError(
                f"{what}: the proxy's URL can't be understood; expected http://host:port or "
                "http://user:password@host:port, with %XX for what is neither letter nor digit in user and password"
            )


def _is_proxy(url: object) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url if "://" in url else f"http://{url.removeprefix('//')}")
        # A "/" in a password would end the host too early.
        return bool(parts.hostname) and parts.port != 0 and "@" not in parts.path and parts.scheme in ("http", "https")
    except ValueError:
        return False


def network_to(endpoint: str, options: dict[str, Any], timeout: float) -> Network:
    """The network as botocore would use it by options that own_signer() knows, and by the environment."""
    return Network(
        timeout=timeout,
        proxy_of=_proxy_of(endpoint, options),
        verify=verification(options)[1],
        certificates=_certificates() if endpoint.startswith("https://") else None,
    )


def _proxy_of(endpoint: str, options: dict[str, Any]) -> Callable[[str], str | None]:
    proxies = (options.get("config_kwargs") or {}).get("proxies")
    if not proxies and (proxies is not None or not any(name.lower().endswith("_proxy") for name in os.environ)):
        return lambda _: None
    from botocore.httpsession import ProxyConfiguration
    from botocore.utils import get_environ_proxies

    if proxies is None:
        proxies = get_environ_proxies(endpoint)
    proxy_of: Callable[[str], str | None] = ProxyConfiguration(proxies=proxies).proxy_url_for
    return proxy_of


def _certificates() -> str:
    """The file of authorities that botocore trusts."""
    try:
        import certifi
    except ImportError:
        from botocore.httpsession import where

        return str(where())
    return certifi.where()
