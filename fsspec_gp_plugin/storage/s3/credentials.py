"""Where the credentials of an S3 store come from, and when they end, as far as something tells."""

from __future__ import annotations

import base64
import json
import os
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from .signing import has_any_of

# Names under which programs that write temporary keys into a profile note their end.
_ENDS = ("x_security_token_expires", "aws_expiration", "aws_session_expiration", "expiration")
# botocore wants other credentials ten minutes before the end of those that it has, and fails where there are none yet.
LAST_SECONDS = 60


class Credentials:
    """Those that s3fs options name, or leave to be found. `are_found`: by profiles, files, roles or the environment."""

    def __init__(self, options: dict[str, Any]) -> None:
        client = options.get("client_kwargs") or {}
        self._profile = options.get("profile")
        self._token = options.get("token") or client.get("aws_session_token")
        is_given = options.get("key") or options.get("username") or client.get("aws_access_key_id")
        # The variables of this process don't change any more.
        is_given = is_given or (os.environ.get("AWS_ACCESS_KEY_ID") and not self._profile)
        self.are_found = not is_given and not options.get("anon")

    def end(self) -> float | None:
        """In seconds since 1970; None where nothing tells, or where they are renewed before."""
        if self._token:
            return _end_of_token(self._token)
        if not self.are_found:
            told = _seconds(os.environ.get("AWS_CREDENTIAL_EXPIRATION"))
            return told or _end_of_token(os.environ.get("AWS_SESSION_TOKEN"))
        settings = profile_settings(self._profile)
        told = next((seconds for name in _ENDS if (seconds := _seconds(settings.get(name))) is not None), None)
        return told or _end_of_token(settings.get("aws_session_token"))


def profile_settings(profile: str | None) -> dict[str, Any]:
    """The settings of the profile that is used, where this host has a file of them."""
    files = (
        os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config",
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
    )
    if has_any_of(files):
        from botocore.session import Session

        with suppress(Exception):  # a profile that isn't there is told by the first request
            return dict(Session(profile=profile).get_scoped_config())
    return {}


def use_to_the_end() -> None:
    """Have botocore, and aiobotocore by it, use temporary credentials to their end where others can't be had."""
    from botocore.credentials import RefreshableCredentials

    RefreshableCredentials._mandatory_refresh_timeout = LAST_SECONDS  # noqa: SLF001 - nothing public sets it


def _end_of_token(token: Any) -> float | None:
    """Some stores, such as MinIO, give session tokens that say when they end: JSON Web Tokens."""
    with suppress(ValueError, AttributeError, KeyError, TypeError, RecursionError):
        _, claims, _ = token.split(".")
        return float(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"])
    return None


def _seconds(text: Any) -> float | None:
    """Of a time such as `2026-01-02T03:04:05Z` or `2026-01-02 03:04:05+0000`."""
    with suppress(ValueError, AttributeError):
        told = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("+0000", "+00:00"))
        return (told if told.tzinfo else told.replace(tzinfo=timezone.utc)).timestamp()
    return None
