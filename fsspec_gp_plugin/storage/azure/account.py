"""Which account, at which address, and by whose leave: what adlfs makes of options, variables and fsspec's files.

adlfs and the libraries below it cost half a second to import, more than many a table takes. Where the options say
literally all that adlfs would find out, it is not asked.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...errors import ConfigError
from .signing import Authorizer, Bearer, Plain, SharedKey

if TYPE_CHECKING:
    from collections.abc import Callable

_OWN = {"account_name", "account_host"}
_CLOSING_SECONDS = 5.0


@dataclass(frozen=True)
class Account:
    """A storage account: its blob endpoint, without a slash at its end, and what authorises requests to it."""

    endpoint: str
    authorizer: Authorizer


def open_account(options: dict[str, Any]) -> Account:
    """The account that adlfs would use with these options; ConfigError."""
    if not _is_configured_elsewhere():
        for found in (_by_connection_string(options), _by_key(options), _by_signature(options)):
            if found is not None:
                return found
    return _by_adlfs(options)


def _is_configured_elsewhere() -> bool:
    """Whether variables or files of adlfs or fsspec may have a say."""
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
    return Account(_endpoint(options), Plain(options["sas_token"]))


def _by_connection_string(options: dict[str, Any]) -> Account | None:
    """Of those that name an account with its key or a signature; all else, as of the emulator, the library reads."""
    if not options.get("connection_string") or set(options) - {"account_name", "connection_string"}:
        return None
    words = [word.partition("=") for word in options["connection_string"].rstrip(";").split(";")]
    said = {name.strip().upper(): value for name, _, value in words}
    known = {"ACCOUNTNAME", "ACCOUNTKEY", "BLOBENDPOINT", "DEFAULTENDPOINTSPROTOCOL", "ENDPOINTSUFFIX"}
    if set(said) - known - {"SHAREDACCESSSIGNATURE"} or not all(said.values()):
        return None
    endpoint, name = said.get("BLOBENDPOINT"), said.get("ACCOUNTNAME")
    if endpoint is None and name:
        scheme = said.get("DEFAULTENDPOINTSPROTOCOL", "https")
        endpoint = f"{scheme}://{name}.blob.{said.get('ENDPOINTSUFFIX', 'core.windows.net')}"
    if endpoint is None or not endpoint.startswith(("http://", "https://")) or "?" in endpoint:
        return None
    if name and "ACCOUNTKEY" in said:
        return Account(endpoint.rstrip("/"), _shared_key(name, said["ACCOUNTKEY"], "connection_string"))
    if "SHAREDACCESSSIGNATURE" in said and "ACCOUNTKEY" not in said:
        return Account(endpoint.rstrip("/"), Plain(said["SHAREDACCESSSIGNATURE"]))
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

    from .options import check_names, check_types

    fs_options = with_defaults(options)
    check_names(fs_options, AzureBlobFileSystem)
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
    """The options with those of fsspec's configuration below them."""
    from adlfs import AzureBlobFileSystem
    from fsspec.config import apply_config

    return dict(apply_config(AzureBlobFileSystem, options))


def _authorizer(fs: Any, credential: Any, query: str) -> Authorizer:
    if credential is None:
        return Plain(query)
    if hasattr(credential, "get_token"):
        return Bearer(*_tokens(fs, credential))
    if hasattr(credential, "signature"):  # AzureSasCredential
        return Plain(credential.signature)
    return _shared_key(credential.account_name, credential.account_key, "account_key")


def _tokens(fs: Any, credential: Any) -> tuple[Callable[[str, float], Any], Callable[[], None]]:
    """How to get a token from a credential of adlfs', which works on fsspec's event loop, and how to close it."""
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
