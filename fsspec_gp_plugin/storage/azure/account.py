"""Finds the storage account, its endpoint and its credentials, as adlfs does from options, variables and files.

This own code exists because adlfs and its libraries take 0.2 s of CPU to import, longer than many tables take. Where
the options say everything literally, adlfs is not imported.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...errors import ConfigError
from ..option_checks import parameters_of, require_known, require_text
from .signing import Authorizer, Bearer, SasOrAnonymous, SharedKey

if TYPE_CHECKING:
    from collections.abc import Callable

_OWN = {"account_name", "account_host"}
_CLOSING_SECONDS = 5.0


@dataclass(frozen=True)
class Account:
    """A storage account: its blob endpoint, without a slash at its end, and what authorizes requests to it."""

    endpoint: str
    authorizer: Authorizer


def open_account(options: dict[str, Any]) -> Account:
    """Return the account that adlfs would use with these options. Raises ConfigError."""
    if not _is_configured_elsewhere():
        for found in (_by_connection_string(options), _by_key(options), _by_signature(options)):
            if found is not None:
                return found
    return _by_adlfs(options)


def _is_configured_elsewhere() -> bool:
    """Return whether variables or files of adlfs or fsspec may change the account."""
    return any(name.startswith(("AZURE_STORAGE_", "FSSPEC_")) for name in os.environ) or os.path.exists(
        os.path.expanduser("~/.config/fsspec")
    )


def _by_key(options: dict[str, Any]) -> Account | None:
    if not options.get("account_key") or not options.get("account_name") or set(options) - _OWN - {"account_key"}:
        return None
    return Account(_endpoint(options), _shared_key(options["account_name"], options["account_key"], "account_key"))


def _by_signature(options: dict[str, Any]) -> Account | None:
    if not options.get("sas_token") or not options.get("account_name") or set(options) - _OWN - {"sas_token"}:
        return None
    return Account(_endpoint(options), SasOrAnonymous(options["sas_token"]))


def _by_connection_string(options: dict[str, Any]) -> Account | None:
    """Read a connection string with a key or a signature; None for all others, which the library reads."""
    if not options.get("connection_string") or set(options) - {"account_name", "connection_string"}:
        return None
    words = [word.partition("=") for word in options["connection_string"].rstrip(";").split(";")]
    given = {name.strip().upper(): value for name, _, value in words}
    known = {"ACCOUNTNAME", "ACCOUNTKEY", "BLOBENDPOINT", "DEFAULTENDPOINTSPROTOCOL", "ENDPOINTSUFFIX"}
    if set(given) - known - {"SHAREDACCESSSIGNATURE"} or not all(given.values()):
        return None
    endpoint, name = given.get("BLOBENDPOINT"), given.get("ACCOUNTNAME")
    if endpoint is None and name:
        scheme = given.get("DEFAULTENDPOINTSPROTOCOL", "https")
        endpoint = f"{scheme}://{name}.blob.{given.get('ENDPOINTSUFFIX', 'core.windows.net')}"
    if endpoint is None or not endpoint.startswith(("http://", "https://")) or "?" in endpoint:
        return None
    if name and "ACCOUNTKEY" in given:
        return Account(endpoint.rstrip("/"), _shared_key(name, given["ACCOUNTKEY"], "connection_string"))
    if "SHAREDACCESSSIGNATURE" in given and "ACCOUNTKEY" not in given:
        return Account(endpoint.rstrip("/"), SasOrAnonymous(given["SHAREDACCESSSIGNATURE"]))
    return None


def _endpoint(options: dict[str, Any]) -> str:
    host = options.get("account_host") or f"{options['account_name']}.blob.core.windows.net"
    return f"https://{host}".rstrip("/")


def _shared_key(name: str, key: str, option: str) -> SharedKey:
    try:
        return SharedKey(name, key)
    except ValueError:
        raise ConfigError(f"storage_options: the account's key in {option!r} is not base64; copy all of it") from None


def _by_adlfs(options: dict[str, Any]) -> Account:
    from adlfs import AzureBlobFileSystem

    fs_options = with_defaults(options)
    known = _FSSPECS_OWN | _OF_IDENTITY | parameters_of(AzureBlobFileSystem.__init__)
    require_known("adlfs", fs_options, known)
    check_types(fs_options)
    try:
        fs = AzureBlobFileSystem(
            **{**fs_options, "use_listings_cache": False, "skip_instance_cache": True, "asynchronous": False}
        )
    except ValueError as error:
        if "Must provide either" in str(error):
            raise ConfigError(
                "no storage account is named; set account_name or connection_string in storage_options, or give "
                "the URL as abfss://container@account.dfs.core.windows.net/path"
            ) from None
        raise
    client = fs.service_client
    address = urlsplit(client.url)
    endpoint = f"{address.scheme}://{address.netloc}{address.path}".rstrip("/")
    return Account(endpoint, _authorizer(fs, client.credential, address.query))


def with_defaults(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options, completed from fsspec's configuration."""
    from adlfs import AzureBlobFileSystem
    from fsspec.config import apply_config

    return dict(apply_config(AzureBlobFileSystem, options))


def _authorizer(fs: Any, credential: Any, query: str) -> Authorizer:
    if credential is None:
        return SasOrAnonymous(query)
    if hasattr(credential, "get_token"):
        return Bearer(*_tokens(fs, credential))
    if hasattr(credential, "signature"):  # AzureSasCredential
        return SasOrAnonymous(credential.signature)
    return _shared_key(credential.account_name, credential.account_key, "account_key")


def _tokens(fs: Any, credential: Any) -> tuple[Callable[[str, float], Any], Callable[[], None]]:
    """Return a function that gets a token from adlfs' credential, on fsspec's event loop, and one that closes it."""
    import asyncio

    def run(coroutine: Any, seconds: float) -> Any:
        future = asyncio.run_coroutine_threadsafe(coroutine, fs.loop)
        try:
            return future.result(seconds)
        except BaseException:
            future.cancel()
            raise

    def close() -> None:
        for it in (credential, fs.sync_credential):
            with suppress(Exception):
                closing = it.close()
                if asyncio.iscoroutine(closing):
                    run(closing, _CLOSING_SECONDS)

    return lambda scope, seconds: run(credential.get_token(scope), seconds), close


_TEXTS = (
    "account_name", "account_key", "account_host", "connection_string", "sas_token", "client_id", "client_secret",
    "tenant_id", "location_mode",
)  # fmt: skip
_FSSPECS_OWN = {"use_listings_cache", "skip_instance_cache", "listings_expiry_time", "max_paths"}
# What adlfs hands to DefaultAzureCredential, whose signature names nothing.
_OF_IDENTITY = {
    "authority", "exclude_workload_identity_credential", "exclude_developer_cli_credential", "exclude_cli_credential",
    "exclude_environment_credential", "exclude_powershell_credential", "exclude_visual_studio_code_credential",
    "exclude_managed_identity_credential", "exclude_shared_token_cache_credential", "managed_identity_client_id",
    "workload_identity_client_id", "workload_identity_tenant_id", "shared_cache_username", "shared_cache_tenant_id",
    "visual_studio_code_tenant_id", "process_timeout", "require_envvar", "additionally_allowed_tenants",
    "disable_instance_discovery",
}  # fmt: skip
_CONTAINER = re.compile(r"[a-z0-9](-?[a-z0-9]){2,62}|\$root|\$web")
_ACCOUNT_IN_HOST = re.compile(r"(.+)\.(?:dfs|blob)\.core\.windows\.net")


def place(url: str, options: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Return the container, the prefix, and the options with the account that the URL names. Raises ConfigError."""
    protocol, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    user, at, there = host.rpartition("@")
    if "?" in url or "#" in url:
        raise ConfigError(f"url {url!r} must hold neither ? nor #")
    account = _ACCOUNT_IN_HOST.fullmatch(there)
    if at:
        container = user
        if account is None and not (options.get("account_host") or options.get("connection_string")):
            raise ConfigError(
                f"url {url!r}: only *.dfs.core.windows.net is understood behind the @; for another cloud write "
                f"{protocol}://{container}/{path} and set account_name and account_host in storage_options"
            )
    elif account is not None:
        container, _, path = path.partition("/")
    else:
        container = there
    if not _CONTAINER.fullmatch(container):
        raise ConfigError(
            f"url {url!r} names no container; expected {protocol}://container/prefix or "
            f"{protocol}://container@account.dfs.core.windows.net/prefix"
        )
    if account is not None:
        named = options.get("account_name")
        if named and named != account.group(1):
            raise ConfigError(f"storage_options: account_name is {named!r}, and the URL names {account.group(1)!r}")
        options = {**options, "account_name": account.group(1)}
    return container, path.strip("/"), options


def check_types(options: dict[str, Any]) -> None:
    """Refuse what YAML made of a value that should have been quoted, and what does not go together."""
    require_text(options, _TEXTS)
    for name, value in options.items():
        if (name == "anon" or name.startswith("exclude_")) and not isinstance(value, (bool, type(None))):
            raise ConfigError(f"storage_options: {name!r} must be true or false")
    if "://" in (options.get("account_host") or ""):
        raise ConfigError("storage_options: account_host is a host's name, without https://")
    if options.get("location_mode") not in (None, "primary", "secondary"):
        raise ConfigError("storage_options: location_mode must be primary or secondary")
    principal = [name for name in ("client_id", "client_secret", "tenant_id") if options.get(name)]
    if "client_secret" in principal and len(principal) < 3:
        raise ConfigError("storage_options: client_id, client_secret and tenant_id belong together")
