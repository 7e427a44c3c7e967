"""Address, region and credentials of a bucket without s3fs, whose import and client take 0.4 s before the first
request; and when the credentials end.

With an endpoint in the options, and keys there or in the environment, nothing is left to find out. In other cases
botocore finds credentials and region, as s3fs has it do, too. Where options, environment or files hold anything that
this module does not know, only s3fs can tell what they mean.
"""

from __future__ import annotations

import base64
import json
import os
import re
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from ..credential_renewal import NoTokenError, NoTokenYetError, Renewals, within
from .signing import Keys, OwnSigner

if TYPE_CHECKING:
    from collections.abc import Iterable

_OPTIONS = {
    "key", "secret", "token", "profile", "endpoint_url", "client_kwargs", "config_kwargs", "s3_additional_kwargs",
}  # fmt: skip
_CLIENT_OPTIONS = {"region_name", "verify"}
_CONFIG_OPTIONS = {
    "connect_timeout", "read_timeout", "retries", "max_pool_connections", "s3", "signature_version", "proxies",
    "request_checksum_calculation", "response_checksum_validation",
}  # fmt: skip
# Only s3fs knows what these files mean for it.
_OTHER_FILES = ("~/.config/fsspec", "~/.boto", "/etc/boto.cfg")
_KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")  # the first counts more
# Variables, and settings of a profile, that say where credentials are, and nothing else.
_VARIABLES = re.compile(
    r"AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|CREDENTIAL_EXPIRATION|PROFILE|DEFAULT_PROFILE|CONFIG_FILE"
    r"|SHARED_CREDENTIALS_FILE|DEFAULT_REGION|REGION|ROLE_ARN|ROLE_SESSION_NAME|WEB_IDENTITY_TOKEN_FILE|CA_BUNDLE"
    r"|CONTAINER_[A-Z_]+|EC2_METADATA_[A-Z0-9_]+|METADATA_SERVICE_[A-Z_]+|STS_REGIONAL_ENDPOINTS"
    r"|ENDPOINT_URL_S3|ENDPOINT_URL)"
)
_SETTINGS = re.compile(
    r"aws_access_key_id|aws_secret_access_key|aws_session_token|region|output|endpoint_url|role_[a-z_]+|source_profile"
    r"|credential_[a-z_]+|external_id|duration_seconds|web_identity_token_file|sso_[a-z_]+|cli_[a-z_]+"
    r"|metadata_service_[a-z_]+|sts_regional_endpoints|max_attempts|retry_mode|request_checksum_calculation"
    r"|response_checksum_validation|x_(principal_arn|security_token_expires)|(aws_|aws_session_)?expiration"
)
# Amazon's regions outside of China and without those of governments, whose hosts have other names.
_REGION = re.compile(r"(af|ap|ca|eu|il|me|mx|sa|us)-(?!gov|iso)[a-z]+-[0-9]")
_HOST_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
# Names under which programs that write temporary keys into a profile note their end.
_ENDS = ("x_security_token_expires", "aws_expiration", "aws_session_expiration", "expiration")
# botocore obtains new credentials ten minutes before the old ones end, and fails if there are none yet.
_LAST_SECONDS = 60
# botocore sets no time limit for the user's program that returns credentials.
_LONGEST_SECONDS = 30.0


def own_signer(bucket: str, options: dict[str, Any]) -> OwnSigner | None:
    """A signer for one bucket by these s3fs options. None if only s3fs knows what they mean."""
    if not _are_known(options) or _has_any_of(_OTHER_FILES):
        return None
    additional = options.get("s3_additional_kwargs")
    endpoint, region = options.get("endpoint_url"), (options.get("client_kwargs") or {}).get("region_name")
    keys = _literal_keys(options)
    if keys is not None and endpoint:
        return OwnSigner(f"{endpoint.rstrip('/')}/{bucket}", region or "us-east-1", lambda: keys, additional)
    return _signer_by_botocore(bucket, options, additional)


def _are_known(options: dict[str, Any]) -> bool:
    """Whether this module knows all options."""
    client, config = options.get("client_kwargs") or {}, options.get("config_kwargs") or {}
    endpoint = options.get("endpoint_url") or "http://any"
    return (
        set(options) <= _OPTIONS
        and set(client) <= _CLIENT_OPTIONS
        and set(config) <= _CONFIG_OPTIONS
        and set(config.get("s3") or {}) <= {"addressing_style"}
        and (config.get("s3") or {}).get("addressing_style", "auto") in ("auto", "path")
        and config.get("signature_version", "s3v4") == "s3v4"
        and "amazonaws.com" not in endpoint
        and urlsplit(endpoint).path in ("", "/")
    )


def _literal_keys(options: dict[str, Any]) -> Keys | None:
    """The access key of the options or of the environment. None if files or variables may say something else."""
    present = _variables() - {"AWS_CA_BUNDLE"}
    if "profile" in options or _has_any_of(("~/.aws/config", "~/.aws/credentials")):
        return None
    if options.get("key") and options.get("secret"):
        return None if present else Keys(options["key"], options["secret"], options.get("token"))
    access_key, secret_key, token = (os.environ.get(name) for name in _KEY_VARIABLES)
    if not present <= set(_KEY_VARIABLES) or {"key", "secret", "token"} & set(options):
        return None
    return Keys(access_key, secret_key, token or None) if access_key and secret_key else None


def _signer_by_botocore(bucket: str, options: dict[str, Any], additional: Any) -> OwnSigner | None:
    """As own_signer(), by what botocore's own chain finds: profiles, files, roles, the service of an instance."""
    if any(not _VARIABLES.fullmatch(name) for name in _variables()):
        return None
    literal = [options.get(name) for name in ("key", "secret")]
    if any(literal) != all(literal) or (options.get("token") and not all(literal)):
        return None  # s3fs complains of it
    from botocore.session import Session

    use_credentials_to_their_end()
    session = Session(profile=options.get("profile"))
    try:
        settings: dict[str, Any] = session.get_scoped_config()
    except Exception:  # noqa: BLE001 - such as a missing profile: s3fs will say so
        return None
    if not all(_SETTINGS.fullmatch(name) for name in settings):
        return None
    place = _address_and_region(bucket, options, settings, session)
    if place is None:
        return None
    if all(literal):
        keys = Keys(options["key"], options["secret"], options.get("token"))
        return OwnSigner(*place, lambda: keys, additional)
    return OwnSigner(*place, _Chain(session).keys, additional)


def _address_and_region(
    bucket: str, options: dict[str, Any], settings: dict[str, Any], session: Any
) -> tuple[str, str] | None:
    variables = (os.environ.get(name) for name in _ENDPOINT_VARIABLES)
    endpoint = next(filter(None, (options.get("endpoint_url"), *variables, settings.get("endpoint_url"))), None)
    region = (options.get("client_kwargs") or {}).get("region_name")
    region = region or session.get_config_variable("region")
    if endpoint is not None:
        is_plain = re.fullmatch(r"https?://[^/@?#]+/?", endpoint) and "amazonaws.com" not in endpoint
        return (f"{endpoint.rstrip('/')}/{bucket}", region or "us-east-1") if is_plain else None
    style = ((options.get("config_kwargs") or {}).get("s3") or {}).get("addressing_style", "virtual")
    if not _REGION.fullmatch(region or "") or not _HOST_NAME.fullmatch(bucket) or style != "virtual":
        return None
    return f"https://{bucket}.s3.{region}.amazonaws.com", region


class _Chain:
    """Finds credentials with the first request, and renews them."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._credentials: Any = None
        self._keys: Keys | None = None
        self._renewals = Renewals()

    def keys(self) -> Keys:
        self._renewals.renew(self._are_due, self._are_good, lambda: within(_LONGEST_SECONDS, self._obtain))
        return cast("Keys", self._keys)  # or renew() would have raised

    def _are_due(self) -> bool:
        # Credentials of a file have no end.
        credentials = self._credentials
        return self._keys is None or (hasattr(credentials, "refresh_needed") and credentials.refresh_needed())

    def _are_good(self) -> bool:
        return self._keys is not None and not self._credentials.refresh_needed(_LAST_SECONDS)

    def _obtain(self) -> None:
        from botocore.exceptions import NoCredentialsError

        try:
            if self._credentials is None:
                self._credentials = self._session.get_credentials()
            if self._credentials is None:
                raise NoCredentialsError
            self._keys = Keys(*self._credentials.get_frozen_credentials()[:3])
        except OSError as error:
            if error.filename is None:
                raise
            # Such as the program of a credential_process. As it is, it would be taken for an object that is missing.
            raise NoTokenError(f"{error.strerror}: {error.filename}") from None
        except (ValueError, RuntimeError) as error:  # of a program that returned half of them, or expired ones
            raise NoTokenYetError(f"{type(error).__name__}: {error}") from None


class Credentials:
    """The credentials that s3fs options name, or leave to be found. `are_found`: they come from profiles, files, roles
    or the environment.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        client = options.get("client_kwargs") or {}
        self._profile = options.get("profile")
        self._token = options.get("token") or client.get("aws_session_token")
        is_literal = options.get("key") or options.get("username") or client.get("aws_access_key_id")
        # The variables of this process don't change any more.
        is_literal = is_literal or (os.environ.get("AWS_ACCESS_KEY_ID") and not self._profile)
        self.are_found = not is_literal and not options.get("anon")

    def end(self) -> float | None:
        """When they end, in seconds since 1970. None if it is unknown, or if they are renewed before."""
        if self._token:
            return _end_of_token(self._token)
        if not self.are_found:
            end = _seconds(os.environ.get("AWS_CREDENTIAL_EXPIRATION"))
            return end or _end_of_token(os.environ.get("AWS_SESSION_TOKEN"))
        settings = profile_settings(self._profile)
        end = next((seconds for name in _ENDS if (seconds := _seconds(settings.get(name))) is not None), None)
        return end or _end_of_token(settings.get("aws_session_token"))


def profile_settings(profile: str | None) -> dict[str, Any]:
    """The settings of the profile that is used, if this host has a file of profiles."""
    files = (
        os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config",
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
    )
    if _has_any_of(files):
        from botocore.session import Session

        with suppress(Exception):  # the first request reports a profile that isn't there
            return dict(Session(profile=profile).get_scoped_config())
    return {}


def use_credentials_to_their_end() -> None:
    """Have botocore, and so aiobotocore, use temporary credentials to their end while it can't obtain new ones."""
    from botocore.credentials import RefreshableCredentials

    RefreshableCredentials._mandatory_refresh_timeout = _LAST_SECONDS  # noqa: SLF001 - nothing public sets it


def _variables() -> set[str]:
    """The names of the variables that may say something about S3."""
    return {name for name in os.environ if name.startswith(("AWS_", "BOTO_", "FSSPEC_"))}


def _has_any_of(files: Iterable[str]) -> bool:
    """Whether this host has one of these files; "~" is the user's home."""
    return any(os.path.exists(os.path.expanduser(file)) for file in files)


def _end_of_token(token: Any) -> float | None:
    """Some stores, such as MinIO, give session tokens that say when they end: JSON Web Tokens."""
    with suppress(ValueError, AttributeError, KeyError, TypeError, RecursionError):
        _, claims, _ = token.split(".")
        return float(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"])
    return None


def _seconds(text: Any) -> float | None:
    """Seconds since 1970 of a time such as `2026-01-02T03:04:05Z` or `2026-01-02 03:04:05+0000`."""
    with suppress(ValueError, AttributeError):
        time = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("+0000", "+00:00"))
        return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()
    return None
