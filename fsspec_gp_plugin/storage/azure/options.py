"""storage_options of adlfs, and the URL, looked at before any request: adlfs itself hands on what it doesn't know."""

from __future__ import annotations

import inspect
import re
from difflib import get_close_matches
from typing import Any

from ...errors import ConfigError

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
    """Container, prefix, and the options with the account that the URL names; ConfigError."""
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
        told = options.get("account_name")
        if told and told != account.group(1):
            raise ConfigError(f"storage_options: account_name is {told!r}, and the URL names {account.group(1)!r}")
        options = {**options, "account_name": account.group(1)}
    return container, path.strip("/"), options


def check_names(options: dict[str, Any], filesystem: Any) -> None:
    """Refuse an option that adlfs would hand to the credentials, whose complaint names no option, or to nobody."""
    known = _FSSPECS_OWN | _OF_IDENTITY
    known |= {
        name
        for name, parameter in inspect.signature(filesystem.__init__).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    } - {"self"}
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise ConfigError(
                f"storage_options: adlfs knows no option {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            )


def check_types(options: dict[str, Any]) -> None:
    """Refuse what YAML made of a value that should have been quoted, and what does not go together."""
    for name in _TEXTS:
        if not isinstance(options.get(name) or "", str):
            raise ConfigError(f"storage_options: the value of {name!r} is not text; put it in quotes")
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
