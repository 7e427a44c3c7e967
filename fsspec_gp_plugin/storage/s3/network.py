"""What options and environment say of the network, looked at before any request.

The libraries do so with the first connection, where a missing file looks like a missing object, or like a
connection that failed and is tried again for minutes; and they quote what they don't understand.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from ...errors import ConfigError


def check_certificates(options: dict[str, Any]) -> None:
    """ConfigError for a file of certificates that is not there or holds something else."""
    for what, file in _authorities(options):
        _load(what, "load_verify_locations", file)
    shown = (options.get("config_kwargs") or {}).get("client_cert")
    if shown:
        _load("client_cert in config_kwargs", "load_cert_chain", *([shown] if isinstance(shown, str) else shown))


def _authorities(options: dict[str, Any]) -> list[tuple[str, str]]:
    """The file that names whom to trust, and where it was found: the option counts before the variables."""
    verify = (options.get("client_kwargs") or {}).get("verify")
    if verify is not None:
        return [("verify in client_kwargs", verify)] if isinstance(verify, str) else []
    named = [(name, os.environ[name]) for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE") if os.environ.get(name)]
    return named[:1]


def _load(what: str, method: str, *files: str) -> None:
    import ssl  # where nothing is named, nothing is needed

    try:
        getattr(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), method)(*files)
    except (OSError, TypeError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        names = " and ".join(map(str, files))
        raise ConfigError(f"{what}: the certificates in {names} can't be used: {reason}") from None


def check_proxies(options: dict[str, Any]) -> None:
    """ConfigError for a proxy whose URL can't be understood; it is not quoted, as a password may be in it."""
    proxies = (options.get("config_kwargs") or {}).get("proxies")
    if proxies is None:
        named = {name: value for name, value in os.environ.items() if name.lower() in ("http_proxy", "https_proxy")}
    elif isinstance(proxies, dict):
        named = {f"proxies in config_kwargs, {scheme}": url for scheme, url in proxies.items()}
    else:
        raise ConfigError("proxies in config_kwargs must be a mapping of `http` and `https` to URLs")
    for what, url in named.items():
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
