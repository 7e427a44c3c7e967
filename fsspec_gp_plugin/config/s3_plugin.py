"""Accepts configurations of gpbackup_s3_plugin: translates its options to a URL and storage options.

Their meaning is that of its version 1.10: always path-style addresses, `encryption: off` for endpoints without a
scheme, keys below `folder` without slashes around it.
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


def is_used(options: Mapping[str, str]) -> bool:
    """Whether these are the S3 plugin's options: they have a bucket and no URL."""
    return bool(options.get("bucket")) and not options.get("url")


def translate(options: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The URL and the storage options of such a configuration; raises ConfigError."""
    bucket, folder = options["bucket"], options.get("folder", "").strip("/")
    if "/" in bucket:
        raise ConfigError("option 'bucket': expected only the bucket's name; write the path below it as `folder`")
    encrypted = _switch(options, "encryption", default=True)
    endpoint = _endpoint(options, bucket, encrypted=encrypted)
    key, secret = options.get("aws_access_key_id"), options.get("aws_secret_access_key")
    if bool(key) != bool(secret):
        raise ConfigError("options 'aws_access_key_id' and 'aws_secret_access_key': one is given without the other")
    storage_options: dict[str, Any] = {"config_kwargs": {"s3": {"addressing_style": "path"}}, "client_kwargs": {}}
    if key:
        storage_options |= {"key": key, "secret": secret}
    if endpoint:
        storage_options["endpoint_url"] = endpoint
    elif not encrypted:
        storage_options["use_ssl"] = False
    region = options.get("region") or ("us-east-1" if endpoint else None)
    if region:
        storage_options["client_kwargs"]["region_name"] = region
    if proxy := options.get("http_proxy"):
        storage_options["config_kwargs"]["proxies"] = {"http": proxy, "https": proxy}
    return f"s3://{bucket}/{folder}".rstrip("/"), _literal(storage_options)


def limit_part_size(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reduce the S3 plugin's part size to what fits into `memory_limit`: that plugin may buffer gigabytes."""
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
    """Escape `${NAME}`, which the S3 plugin does not replace."""
    if isinstance(node, dict):
        return {key: _literal(value) for key, value in node.items()}
    return re.sub(r"\$(?=\{[A-Za-z_][A-Za-z0-9_]*\})", "$$", node) if isinstance(node, str) else node
