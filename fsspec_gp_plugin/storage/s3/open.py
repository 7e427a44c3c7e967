"""s3:// URL and options → S3Store: options of s3fs with defaults that suit backups, and options that it can't use."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ..contract import TransportSecurity
from ..option_checks import parameters_of, require_known, require_text
from .control_plane import Control
from .credentials import Credentials, own_signer, profile_settings, use_credentials_to_their_end
from .network import check_certificates, check_proxies, network_to, verification
from .requests import Checksums, Requests
from .senders import FallingBackSender, PresignedSender, S3fsSender
from .store import S3Store

if TYPE_CHECKING:
    from .senders import Sender

_TEXTS = ("key", "secret", "token", "endpoint_url", "profile", "username", "password")
_MAPPINGS = ("client_kwargs", "config_kwargs", "s3_additional_kwargs")
_CHECKSUMS = {"when_required": False, "when_supported": True}
_FSSPECS_OWN = {"profile", "use_listings_cache", "skip_instance_cache", "listings_expiry_time", "max_paths"}


def open_s3(url: str, options: dict[str, Any], timeout: float) -> S3Store:
    """The store below an s3:// or s3a:// URL; the options are those of s3fs.S3FileSystem.

    Options of fsspec's configuration files and FSSPEC_S3_… variables apply below them, as in any fsspec program.
    `timeout`: seconds for which a request may stall.
    """
    bucket, prefix = _bucket_and_prefix(url)
    _check_types(options)
    options = _with_lower_case_endpoint(options)
    check_certificates(options)
    check_proxies(options)
    choice = _botocore_setting("request_checksum_calculation", options, profile_settings(options.get("profile")))
    control = Control(lambda: _filesystem(options, bucket, timeout), timeout)
    transport_security = control.transport_security
    sender: Sender = S3fsSender(control)
    own = own_signer(bucket, options) if _is_plain_bucket(bucket) else None
    if own is not None:
        transport_security = partial(TransportSecurity.to, own.endpoint, is_verified=bool(verification(options)[1]))
        network = partial(network_to, own.endpoint, options, timeout)
        sender = FallingBackSender(PresignedSender(own, network), sender)
    elif _can_presign(control.fs):  # makes the filesystem, so that wrong options are reported now
        sender = FallingBackSender(PresignedSender(control, control.network), sender)
    requests = Requests(control, sender, Checksums(_CHECKSUMS.get(str(choice).lower())))
    return S3Store(bucket, prefix, control, requests, transport_security, Credentials(options))


def _filesystem(options: dict[str, Any], bucket: str, timeout: float) -> Any:
    """The s3fs filesystem, with defaults that suit backups."""
    import s3fs
    from fsspec.config import apply_config

    options = dict(apply_config(s3fs.S3FileSystem, options))
    from aiobotocore.session import AioSession

    # What s3fs does not know, it hands to the session, whose error names no option.
    known = parameters_of(s3fs.S3FileSystem.__init__, AioSession.__init__)
    require_known("s3fs", options, _FSSPECS_OWN | known)
    _check_types(options)
    options["config_kwargs"] = _with_defaults(dict(options.get("config_kwargs") or {}), options, bucket, timeout)
    options.update(use_listings_cache=False, skip_instance_cache=True, asynchronous=False)
    use_credentials_to_their_end()
    fs = s3fs.S3FileSystem(**options)
    fs.retries = 1  # RetryingStore does the retries
    return fs


def _with_lower_case_endpoint(options: dict[str, Any]) -> dict[str, Any]:
    """The options with the endpoint's scheme and host in lower case: so they are sent, and must be signed."""
    endpoint = options.get("endpoint_url")
    if not endpoint or "@" in endpoint:
        return options
    scheme, _, rest = endpoint.partition("://")
    host, slash, path = rest.partition("/")
    return {**options, "endpoint_url": f"{scheme.lower()}://{host.lower()}{slash}{path}"}


def _bucket_and_prefix(url: str) -> tuple[str, str]:
    """Bucket and prefix."""
    bucket, _, prefix = url.partition("://")[2].strip("/").partition("/")
    if not bucket:
        raise ConfigError(f"url {url!r} names no bucket; expected s3://bucket/prefix")
    return bucket, prefix


def _with_defaults(config: dict[str, Any], options: dict[str, Any], bucket: str, timeout: float) -> dict[str, Any]:
    config.setdefault("connect_timeout", min(10, timeout))
    config.setdefault("read_timeout", timeout)
    config.setdefault("retries", {"total_max_attempts": 1, "mode": "standard"})
    if isinstance(config.get("client_cert"), list):
        config["client_cert"] = tuple(config["client_cert"])  # YAML has no tuples, and botocore ignores a list
    if _is_plain_bucket(bucket):
        # What botocore would choose too, except for presigned URLs, which get an older signature by default.
        config.setdefault("signature_version", "s3v4")
    profile = profile_settings(options.get("profile"))
    if not _has_custom_endpoint(options, profile):
        # Else botocore would presign for another host, the global one, than it sends its own requests to.
        config["s3"] = {"addressing_style": "virtual", **(config.get("s3") or {})}
    else:
        # Many stores reject the checksums that botocore adds by default, or keep their framing in the object.
        for name in ("request_checksum_calculation", "response_checksum_validation"):
            if not _botocore_setting(name, options, profile):
                config[name] = "when_required"
    return config


def _botocore_setting(name: str, options: dict[str, Any], profile: dict[str, Any]) -> Any:
    """A setting of botocore's by options, environment or profile. None if it is not set."""
    config = options.get("config_kwargs") or {}
    return config.get(name) or os.environ.get(f"AWS_{name.upper()}") or profile.get(name)


def _can_presign(fs: Any) -> bool:
    """Whether requests can be signed without their bodies, as far as options say; else the first refusal shows it."""
    config = fs.config_kwargs
    signed_bodies = (config.get("s3") or {}).get("payload_signing_enabled")
    return not fs.anon and not signed_bodies and config.get("signature_version") == "s3v4"


def _is_plain_bucket(bucket: str) -> bool:
    """Whether it is no access point and no directory bucket, which have signatures of their own."""
    return not bucket.startswith("arn:") and not bucket.endswith("--x-s3")


def _check_types(options: dict[str, Any]) -> None:
    """Refuse a value that YAML did not read as text, for lack of quotes, and one that is set twice, differently."""
    require_text(options, _TEXTS)
    for name in _MAPPINGS:
        if not isinstance(options.get(name) or {}, dict):
            raise ConfigError(f"storage_options: the value of {name!r} must be a mapping")
    client = options.get("client_kwargs") or {}
    endpoint = options.get("endpoint_url") or client.get("endpoint_url")
    if endpoint and not endpoint.lower().startswith(("http://", "https://")):
        raise ConfigError(f"storage_options: endpoint_url {endpoint!r} must begin with http:// or https://")
    for name, twin in (
        ("endpoint_url", "endpoint_url"),
        ("key", "aws_access_key_id"),
        ("secret", "aws_secret_access_key"),
        ("token", "aws_session_token"),
    ):
        if options.get(name) and client.get(twin) and options[name] != client[twin]:
            raise ConfigError(f"storage_options: {name!r} stands again, and differs, in client_kwargs as {twin!r}")


def _has_custom_endpoint(options: dict[str, Any], profile: dict[str, Any]) -> bool:
    client = options.get("client_kwargs") or {}
    return bool(
        options.get("endpoint_url")
        or client.get("endpoint_url")
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
        or profile.get("endpoint_url")
        or profile.get("services")
    )
