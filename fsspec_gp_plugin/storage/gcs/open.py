"""Opens the store of a gs:// URL: decides what gcsfs gets, and refuses options that it would misunderstand."""

from __future__ import annotations

import os
from typing import Any

from ...errors import ConfigError
from ..credential_renewal import NoTokenYetError
from ..http.routes import Network
from ..option_checks import parameters_of, require_known, require_text
from .requests import Requests
from .store import GcsStore

_METHODS = ("google_default", "cache", "cloud", "anon")
_TEXTS = ("project", "access", "endpoint_url")
_CONSISTENCIES = ("none", "size", "md5", "crc32c")
# The settings of gcsfs' session that this package's connections support, too.
_SESSION = ("trust_env", "proxy")
_FSSPECS_OWN = {"use_listings_cache", "skip_instance_cache", "listings_expiry_time", "max_paths"}


def open_gcs(url: str, options: dict[str, Any], timeout: float) -> GcsStore:
    """Return the store below a gs:// or gcs:// URL; the options are those of gcsfs.GCSFileSystem.

    Those of fsspec's configuration files and FSSPEC_GS_… variables count below them, as in any fsspec program.
    `timeout`: seconds for which a request may stand still.
    """
    bucket, _, prefix = url.partition("://")[2].strip("/").partition("/")
    if not bucket:
        raise ConfigError(f"url {url!r} names no bucket; expected gs://bucket/prefix")
    _check_types(options)
    filesystem = _core_filesystem()
    from fsspec.config import apply_config

    options = dict(apply_config(filesystem, options))
    require_known("gcsfs", options, _FSSPECS_OWN | parameters_of(filesystem.__init__))
    _check_types(options)
    options.update(use_listings_cache=False, skip_instance_cache=True, asynchronous=False)
    requests = Requests(lambda: _made(filesystem, options), _network(options.get("session_kwargs") or {}, timeout))
    return GcsStore(bucket, prefix, requests, finds_credentials=not _is_raw(options.get("token")))


def _core_filesystem() -> Any:
    """Return gcsfs' class without its gRPC control plane, which asks Google for the bucket's type at any endpoint,
    waits a minute if Google can't be reached, and prints errors.
    """
    # Read when gcsfs is imported; the classes that it keeps away are a third of its import's time, too.
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    from gcsfs.core import GCSFileSystem

    return GCSFileSystem


def _made(filesystem: Any, options: dict[str, Any]) -> Any:
    """Return the filesystem; finding credentials may need the network. Raises ConfigError for unusable ones."""
    from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError

    try:
        fs = filesystem(**options)
    except (TransportError, RefreshError) as error:
        raise NoTokenYetError(str(error)) from None
    except (ValueError, KeyError, TypeError, AttributeError, GoogleAuthError) as error:
        if isinstance(error.__cause__, RefreshError) or _may_be_found_later(options, error):
            raise NoTokenYetError(str(error.__cause__ or error)) from None
        text = str(error).strip().partition("\n")[0]
        raise ConfigError(f"storage_options: token gives no credentials: {text or type(error).__name__}") from error
    if getattr(fs, "_use_client_cert", False):
        raise ConfigError(
            "client certificates of google-auth are not supported; unset GOOGLE_API_USE_CLIENT_CERTIFICATE"
        )
    return fs


def _may_be_found_later(options: dict[str, Any], error: Exception) -> bool:
    """Return whether the machine's credential service may have failed for a moment only."""
    is_of_the_machine = options.get("token") in ("google_default", "cloud")
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    return is_of_the_machine and type(error).__name__ == "DefaultCredentialsError" and not named


def _is_raw(token: Any) -> bool:
    """Return whether the value is an access token itself, which nothing renews."""
    return isinstance(token, str) and token not in _METHODS and not os.path.exists(token)


def _network(session: dict[str, Any], timeout: float) -> Network:
    """Return the network settings of gcsfs' session, which uses a proxy only if an option says so."""
    import urllib.request

    def proxy_of(url: str) -> str | None:
        if session.get("proxy"):
            return str(session["proxy"])
        host = url.partition("://")[2].partition("/")[0]
        if not session.get("trust_env") or urllib.request.proxy_bypass(host):
            return None
        return urllib.request.getproxies().get(url.partition("://")[0])

    return Network(timeout=timeout, proxy_of=proxy_of)


def _check_types(options: dict[str, Any]) -> None:
    """Refuse what YAML made of a value that should have been quoted, and what would be ignored."""
    require_text(options, _TEXTS)
    endpoint = options.get("endpoint_url")
    if endpoint and not endpoint.lower().startswith(("http://", "https://")):
        raise ConfigError(f"storage_options: endpoint_url {endpoint!r} must begin with http:// or https://")
    if not isinstance(options.get("token") or "", (str, dict)):
        raise ConfigError("storage_options: token must be a method, a file's name, or a mapping of credentials")
    if options.get("token") == "browser":
        raise ConfigError("storage_options: token: browser needs somebody to answer; use a service account's file")
    if options.get("consistency", "none") not in _CONSISTENCIES:
        raise ConfigError(f"storage_options: consistency must be one of {', '.join(_CONSISTENCIES)}")
    session = options.get("session_kwargs") or {}
    if not isinstance(session, dict) or not set(session) <= set(_SESSION):
        raise ConfigError(f"storage_options: session_kwargs must be a mapping of {' or '.join(_SESSION)}")
