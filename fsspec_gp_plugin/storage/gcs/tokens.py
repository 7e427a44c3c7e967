"""Google's access tokens, from gcsfs' credentials: while no new one can be obtained, the old one is used to its end."""

from __future__ import annotations

import re
import time
from datetime import timezone
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from ..credential_renewal import NoTokenError, NoTokenYetError, Renewals

if TYPE_CHECKING:
    from collections.abc import MutableMapping

# A token is renewed so many seconds before its end, and is used up to so many where that fails.
_RENEW, _LAST = 300.0, 30.0
# For one request for a token.
_TOKEN_SECONDS = 30.0
# What the service says of credentials that it will never take; all else may pass.
_REFUSED = re.compile(
    r"invalid_(grant|client|request|scope|target)|unauthorized_client|deleted_client|account_disabled"
    r"|do not contain the necessary fields"
)


class Authorization:
    """Adds tokens to requests."""

    def __init__(self) -> None:
        self._renewals = Renewals()

    def add(self, credentials: Any, headers: MutableMapping[str, str]) -> None:
        """Add a token to the headers of a request, renewed in time. Raises NoTokenError, NoTokenYetError."""
        known = credentials.credentials
        if known is None:
            return  # nobody in particular

        def has(seconds: float) -> bool:
            return bool(known.token) and (known.expiry is None or _seconds(known.expiry) - time.time() >= seconds)

        try:
            self._renewals.renew(lambda: not has(_RENEW), lambda: has(_LAST), lambda: _refresh(known))
        except Exception as error:  # noqa: BLE001 - raised as one of two errors
            _raise(error)
        known.apply(headers)


def _refresh(known: Any) -> None:
    import requests
    from google.auth.transport.requests import Request

    with requests.Session() as session:
        known.refresh(partial(Request(session), timeout=_TOKEN_SECONDS))


def _raise(error: Exception) -> NoReturn:
    """Raise without the cause, because its HTTP status is not the store's."""
    text = str(error)
    raise (NoTokenError if _REFUSED.search(text) else NoTokenYetError)(text) from None


def end_of(credentials: Any) -> float | None:
    """Return when a token ends that nothing renews, in seconds since 1970."""
    known = credentials.credentials
    expiry = getattr(known, "expiry", None)
    # The other kinds have something to get another token by.
    if type(known).__name__ != "Credentials" or type(known).__module__ != "google.oauth2.credentials" or expiry is None:
        return None
    return None if known.refresh_token else _seconds(expiry)


def _seconds(expiry: Any) -> float:
    """Return the seconds since 1970 of a time of google-auth, which is UTC without a mark."""
    return float(expiry.replace(tzinfo=timezone.utc).timestamp())
