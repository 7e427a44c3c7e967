"""s3:// URL and options → S3Store: what s3fs gets, with defaults that suit backups, and what it would only choke on."""

from __future__ import annotations

import inspect
import os
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from ..errors import ConfigError
from .s3 import S3Store

_TEXTS = ("key", "secret", "token", "endpoint_url", "profile", "username", "password")
_MAPPINGS = ("client_kwargs", "config_kwargs", "s3_additional_kwargs")
_FSSPECS_OWN = {"profile", "use_listings_cache", "skip_instance_cache", "listings_expiry_time", "max_paths"}


def open_s3(url: str, options: dict[str, Any]) -> S3Store:
    """The store below an s3:// or s3a:// URL; the options are those of s3fs.S3FileSystem.

    Those of fsspec's configuration files and FSSPEC_S3_… variables count below them, as in any fsspec program.
    """
    import s3fs
    from fsspec.config import apply_config

    bucket, _, prefix = url.partition("://")[2].strip("/").partition("/")
    if not bucket:
        raise ConfigError(f"url {url!r} names no bucket; expected s3://bucket/prefix")
    options = dict(apply_config(s3fs.S3FileSystem, options))
    _check_names(options, s3fs.S3FileSystem)
    _check_types(options)
    config = dict(options.get("config_kwargs") or {})
    # The defaults of s3fs, 5 and 15 s, are shorter than a busy store takes to complete an upload.
    config.setdefault("connect_timeout", 10)
    config.setdefault("read_timeout", 60)
    if _has_custom_endpoint(options):
        # Many stores reject the checksums that botocore adds by default, or keep their framing in the object.
        config.setdefault("request_checksum_calculation", "when_required")
        config.setdefault("response_checksum_validation", "when_required")
    options["config_kwargs"] = config
    options.update(use_listings_cache=False, skip_instance_cache=True, asynchronous=False)
    return S3Store(s3fs.S3FileSystem(**options), bucket, prefix)


def _check_names(options: dict[str, Any], filesystem: Any) -> None:
    """Refuse an option that s3fs would hand to the session, whose complaint names no option."""
    from aiobotocore.session import AioSession

    known = _FSSPECS_OWN | {
        name
        for initialiser in (filesystem.__init__, AioSession.__init__)
        for name, parameter in inspect.signature(initialiser).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise ConfigError(
                f"storage_options: s3fs knows no option {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            )


def _check_types(options: dict[str, Any]) -> None:
    """Refuse what YAML made of a value that should have been quoted, and what stands in two places."""
    for name in _TEXTS:
        if not isinstance(options.get(name) or "", str):
            raise ConfigError(f"storage_options: the value of {name!r} is not text; put it in quotes")
    for name in _MAPPINGS:
        if not isinstance(options.get(name) or {}, dict):
            raise ConfigError(f"storage_options: the value of {name!r} must be a mapping")
    client = options.get("client_kwargs") or {}
    endpoint = options.get("endpoint_url") or client.get("endpoint_url")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise ConfigError(f"storage_options: endpoint_url {endpoint!r} must begin with http:// or https://")
    for name, twin in (
        ("endpoint_url", "endpoint_url"),
        ("key", "aws_access_key_id"),
        ("secret", "aws_secret_access_key"),
        ("token", "aws_session_token"),
    ):
        if options.get(name) and client.get(twin) and options[name] != client[twin]:
            raise ConfigError(f"storage_options: {name!r} stands again, and differs, in client_kwargs as {twin!r}")


def _has_custom_endpoint(options: dict[str, Any]) -> bool:
    client = options.get("client_kwargs") or {}
    if (
        options.get("endpoint_url")
        or client.get("endpoint_url")
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
    ):
        return True
    if os.path.exists(os.path.expanduser(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config")):
        from botocore.session import Session

        with suppress(Exception):  # a profile that isn't there is told by the first request
            profile = Session(profile=options.get("profile")).get_scoped_config()
            return bool(profile.get("endpoint_url") or profile.get("services"))
    return False
