"""Configurations of gpbackup_s3_plugin, understood as they stand: its options become a URL and storage options.

What each means was read in its version 1.10: path-style addresses always, `encryption: off` for endpoints that don't
name a scheme, keys below `folder` with no slash before or behind it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = (
    "bucket",
    "folder",
    "region",
    "endpoint",
    "aws_access_key_id",
    "aws_secret_access_key",
    "encryption",
    "http_proxy",
    "remove_duplicate_bucket",
)
_SMALLEST_PART = 5 << 20
_SWITCH = {"on": True, "true": True, "off": False, "false": False}


def is_one(options: Mapping[str, str]) -> bool:
    """Whether it is such a configuration: it names a bucket, and no URL."""
    return bool(options.get("bucket")) and not options.get("url")


def translated(options: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The URL and the storage options that it means; ConfigError."""
    bucket, folder = options["bucket"], options.get("folder", "").strip("/")
    if "/" in bucket:
        raise ConfigError("option 'bucket': expected a bucket's name, and what is below it as `folder`")
    encrypted = _switch(options, "encryption", default=True)
    endpoint = _endpoint(options, bucket, encrypted=encrypted)
    key, secret = options.get("aws_access_key_id"), options.get("aws_secret_access_key")
    if bool(key) != bool(secret):
        raise ConfigError("options 'aws_access_key_id' and 'aws_secret_access_key': one is there without the other")
    found: dict[str, Any] = {"config_kwargs": {"s3": {"addressing_style": "path"}}, "client_kwargs": {}}
    if key:
        found |= {"key": key, "secret": secret}
    if endpoint:
        found["endpoint_url"] = endpoint
    elif not encrypted:
        found["use_ssl"] = False
    region = options.get("region") or ("us-east-1" if endpoint else None)
    if region:
        found["client_kwargs"]["region_name"] = region
    if proxy := options.get("http_proxy"):
        found["config_kwargs"]["proxies"] = {"http": proxy, "https": proxy}
    return f"s3://{bucket}/{folder}".rstrip("/"), _literal(found)


def bounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """The size of parts, where that plugin's would need more memory than `memory_limit`: it holds gigabytes."""
    buffers = values["backup_max_concurrent_requests"] + 1
    most = max(_SMALLEST_PART, values["memory_limit"] // buffers)
    return {"backup_multipart_chunksize": min(values["backup_multipart_chunksize"], most)}


def _endpoint(options: Mapping[str, str], bucket: str, *, encrypted: bool) -> str | None:
    endpoint = options.get("endpoint", "").rstrip("/")
    if not endpoint:
        return None
    if "://" not in endpoint:
        endpoint = f"{'https' if encrypted else 'http'}://{endpoint}"
    try:
        parts = urlsplit(endpoint)
        host = parts.netloc
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigError("option 'endpoint': expected a host, HOST:PORT or a URL such as https://s3.example.com")
    if _switch(options, "remove_duplicate_bucket", default=False):
        host = host.removeprefix(f"{bucket}.")
    return f"{parts.scheme}://{host}{parts.path}"


def _switch(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = options.get(name)
    if not value:
        return default
    if value.lower() not in _SWITCH:
        raise ConfigError(f"option {name!r}: expected on or off")
    return _SWITCH[value.lower()]


def _literal(node: Any) -> Any:
    """The S3 plugin fills nothing in: `${NAME}` is no variable there."""
    if isinstance(node, dict):
        return {key: _literal(value) for key, value in node.items()}
    return re.sub(r"\$(?=\{[A-Za-z_][A-Za-z0-9_]*\})", "$$", node) if isinstance(node, str) else node
