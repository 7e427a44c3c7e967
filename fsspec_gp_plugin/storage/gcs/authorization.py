"""Tokens of Google's, by gcsfs' credentials: an old one is used to its end, however often another can't be had."""

from __future__ import annotations

import re
import time
from datetime import timezone
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import causes
from ..renewing import NoTokenError, NoTokenYetError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

# A token is used up to so many seconds before its end.
_LAST_SECONDS = 30.0
# What the service says of credentials that it will never take; all else may pass.
_REFUSED = re.compile(
    r"invalid_(grant|client|request|scope|target)|unauthorized_client|deleted_client|account_disabled"
)


def authorize(credentials: Any, headers: MutableMapping[str, str]) -> None:
    """Put a token into the headers of a request, a new one in time; NoTokenError, NoTokenYetError."""
    try:
        credentials.apply(headers)
    except Exception as error:  # noqa: BLE001 - as long as there is a token, it counts
        known = credentials.credentials
        if not known.token or known.expiry is None or _seconds(known.expiry) - time.time() < _LAST_SECONDS:
            _raise(error)
        known.apply(headers)


def _raise(error: Exception) -> NoReturn:
    """Without the cause: a status that the identity's service answered is none of the store's."""
    came_of = list(causes(error))
    refusals = [str(cause) for cause in came_of if type(cause).__name__ == "RefreshError"]
    said = next(iter(refusals), str(error))
    if _REFUSED.search(said) or any(type(cause).__name__ == "NonRetryableError" for cause in came_of):
        raise NoTokenError(said) from None
    raise NoTokenYetError(said) from None


def end_of(credentials: Any) -> float | None:
    """When a token ends that nothing renews, in seconds since 1970."""
    known = credentials.credentials
    expiry = getattr(known, "expiry", None)
    # The other kinds have something to get another token by.
    if type(known).__name__ != "Credentials" or type(known).__module__ != "google.oauth2.credentials" or expiry is None:
        return None
    return None if known.refresh_token else _seconds(expiry)


def _seconds(expiry: Any) -> float:
    """Seconds since 1970 of a time of google-auth's, which is UTC and doesn't say so."""
    return float(expiry.replace(tzinfo=timezone.utc).timestamp())
