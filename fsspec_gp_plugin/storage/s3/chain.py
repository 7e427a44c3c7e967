"""Credentials, region and endpoint by botocore's own chain: profiles, files, roles, what an instance is given.

s3fs asks the same chain, by way of aiobotocore, whose import and client take twice as long as all of this.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..credential_renewal import NoTokenError, NoTokenYetError, Renewals, within
from .credentials import LAST_SECONDS, use_to_the_end
from .signature import Keys
from .signing import OTHER_FILES, has_any_of, variables

if TYPE_CHECKING:
    from collections.abc import Callable

# Variables that say where credentials are, and nothing else.
_VARIABLES = re.compile(
    r"AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|CREDENTIAL_EXPIRATION|PROFILE|DEFAULT_PROFILE|CONFIG_FILE"
    r"|SHARED_CREDENTIALS_FILE|DEFAULT_REGION|REGION|ROLE_ARN|ROLE_SESSION_NAME|WEB_IDENTITY_TOKEN_FILE|CA_BUNDLE"
    r"|CONTAINER_[A-Z_]+|EC2_METADATA_[A-Z0-9_]+|METADATA_SERVICE_[A-Z_]+|STS_REGIONAL_ENDPOINTS)"
)
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")  # the first counts more
# Settings of a profile that do the same.
_SETTINGS = re.compile(
    r"aws_access_key_id|aws_secret_access_key|aws_session_token|region|output|endpoint_url|role_[a-z_]+|source_profile"
    r"|credential_[a-z_]+|external_id|duration_seconds|web_identity_token_file|sso_[a-z_]+|cli_[a-z_]+"
    r"|metadata_service_[a-z_]+|sts_regional_endpoints|max_attempts|retry_mode|request_checksum_calculation|response_checksum_validation"
    r"|x_(principal_arn|security_token_expires)|(aws_|aws_session_)?expiration"
)
# Amazon's regions outside of China and those of governments, whose hosts have other names.
_REGION = re.compile(r"(af|ap|ca|eu|il|me|mx|sa|us)-(?!gov|iso)[a-z]+-[0-9]")
_NAME_OF_A_HOST = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


# Whoever gives credentials is waited for so long: botocore sets a program of the user's no limit.
_LONGEST_SECONDS = 30.0


class Found(NamedTuple):
    """A bucket's address, the region to sign for, and what gives the keys that are good now."""

    address: str
    region: str
    keys: Callable[[], Keys]


def found_by_botocore(bucket: str, options: dict[str, Any]) -> Found | None:
    """What botocore finds for s3fs options that own_signer knows; None where that may not be all."""
    if any(name not in _ENDPOINTS and not _VARIABLES.fullmatch(name) for name in variables()):
        return None
    if has_any_of(OTHER_FILES):
        return None
    given = [options.get(name) for name in ("key", "secret")]
    if any(given) != all(given) or (options.get("token") and not all(given)):
        return None  # whose complaint is s3fs'
    from botocore.session import Session

    use_to_the_end()
    session = Session(profile=options.get("profile"))
    try:
        settings: dict[str, Any] = session.get_scoped_config()
    except Exception:  # noqa: BLE001 - such as a missing profile: s3fs will say so
        return None
    if not all(_SETTINGS.fullmatch(name) for name in settings):
        return None
    place = _place(bucket, options, settings, session)
    if place is None:
        return None
    if all(given):
        keys = Keys(options["key"], options["secret"], options.get("token"))
        return Found(*place, lambda: keys)
    return Found(*place, _Chain(session).keys)


def _place(bucket: str, options: dict[str, Any], settings: dict[str, Any], session: Any) -> tuple[str, str] | None:
    """The bucket's address and region."""
    named = (options.get("endpoint_url"), *(os.environ.get(name) for name in _ENDPOINTS), settings.get("endpoint_url"))
    endpoint = next(filter(None, named), None)
    region = (options.get("client_kwargs") or {}).get("region_name")
    region = region or session.get_config_variable("region")
    if endpoint is not None:
        is_plain = re.fullmatch(r"https?://[^/@?#]+/?", endpoint) and "amazonaws.com" not in endpoint
        return (f"{endpoint.rstrip('/')}/{bucket}", region or "us-east-1") if is_plain else None
    style = ((options.get("config_kwargs") or {}).get("s3") or {}).get("addressing_style", "virtual")
    if not _REGION.fullmatch(region or "") or not _NAME_OF_A_HOST.fullmatch(bucket) or style != "virtual":
        return None
    return f"https://{bucket}.s3.{region}.amazonaws.com", region


class _Chain:
    """Finds credentials with the first request, and lets them be renewed."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._found: Any = None
        self._keys: Keys | None = None
        self._renewals = Renewals()

    def keys(self) -> Keys:
        self._renewals.renew(self._are_due, self._are_good, lambda: within(_LONGEST_SECONDS, self._obtain))
        return cast("Keys", self._keys)  # or it would have raised

    def _are_due(self) -> bool:
        # Those of a file have no end.
        return self._keys is None or (hasattr(self._found, "refresh_needed") and self._found.refresh_needed())

    def _are_good(self) -> bool:
        return self._keys is not None and not self._found.refresh_needed(LAST_SECONDS)

    def _obtain(self) -> None:
        from botocore.exceptions import NoCredentialsError

        try:
            if self._found is None:
                self._found = self._session.get_credentials()
            if self._found is None:
                raise NoCredentialsError
            self._keys = Keys(*self._found.get_frozen_credentials()[:3])
        except OSError as error:
            if error.filename is None:
                raise
            # Such as the program of a credential_process. As it is, it would be taken for an object that is missing.
            raise NoTokenError(f"{error.strerror}: {error.filename}") from None
        except (ValueError, RuntimeError) as error:  # of a program that gave half of them, or ones that have ended
            raise NoTokenYetError(f"{type(error).__name__}: {error}") from None
