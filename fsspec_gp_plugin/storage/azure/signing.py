"""Authorizes requests: by a signature, a token, or a shared access signature.

A request is authorised when it is sent, so that neither a long upload nor a long pause outlives its signature.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from contextlib import suppress
from datetime import datetime, timezone
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, NoReturn, Protocol
from urllib.parse import parse_qs, parse_qsl, urlsplit

from ..credential_renewal import NoTokenError, NoTokenYetError, Renewals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Old enough for every cloud and appliance, new enough for blocks of 4,000 MiB.
API_VERSION = "2020-10-02"
_SCOPE = "https://storage.azure.com/.default"
_SIGNED_HEADERS = (
    "content-encoding", "content-language", "content-length", "content-md5", "content-type", "date",
    "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range",
)  # fmt: skip
# A token is renewed so many seconds before its end, and is used up to so many where that fails.
_RENEW, _LAST = 300.0, 30.0
_TOKEN_SECONDS = 30.0


class SignatureEndedError(Exception):
    """The shared access signature has expired."""


class Authorizer(Protocol):
    """Authorizes requests."""

    def authorize(self, method: str, url: str, headers: Mapping[str, str], length: int) -> tuple[str, dict[str, str]]:
        """Return the URL and the headers to send; `length`: bytes of the body."""
        ...

    def end(self) -> float | None:
        """Return when the authorization ends, in seconds since 1970; None if it does not."""
        ...

    def close(self) -> None:
        """Close what tokens come from."""
        ...


class SasOrAnonymous:
    """No credentials, or a shared access signature that is added to each URL."""

    def __init__(self, query: str = "") -> None:
        """`query` is a shared access signature, as it stands in a URL."""
        self._query = query.lstrip("?&")

    def authorize(self, method: str, url: str, headers: Mapping[str, str], length: int) -> tuple[str, dict[str, str]]:
        del method, length
        if self._query:
            url += ("&" if "?" in url else "?") + self._query
        return url, {**headers, **_dated()}

    def end(self) -> float | None:
        for text in parse_qs(self._query).get("se", ()):
            with suppress(ValueError):
                end = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
                return (end if end.tzinfo else end.replace(tzinfo=timezone.utc)).timestamp()
        return None

    def close(self) -> None:
        pass


class SharedKey:
    """Signs every request with the account's key."""

    def __init__(self, account: str, key: str) -> None:
        """`key` is in base64. Raises ValueError if it isn't."""
        self._account = account
        self._key = base64.b64decode(key, validate=True)

    def authorize(self, method: str, url: str, headers: Mapping[str, str], length: int) -> tuple[str, dict[str, str]]:
        sent = {**headers, **_dated()}
        known = {name.lower(): value.strip() for name, value in sent.items()}
        known["content-length"] = str(length) if length else ""
        parts = urlsplit(url)
        query = sorted((name.lower(), value) for name, value in parse_qsl(parts.query, keep_blank_values=True))
        lines = [
            method,
            *(known.get(name, "") for name in _SIGNED_HEADERS),
            *(f"{name}:{known[name]}" for name in sorted(known) if name.startswith("x-ms-")),
            f"/{self._account}{parts.path or '/'}",
            *(f"{name}:{value}" for name, value in query),
        ]
        digest = hmac.digest(self._key, "\n".join(lines).encode(), hashlib.sha256)
        sent["Authorization"] = f"SharedKey {self._account}:{base64.b64encode(digest).decode()}"
        return url, sent

    def end(self) -> float | None:
        return None

    def close(self) -> None:
        pass


class Bearer:
    """A token of Microsoft Entra, renewed in time."""

    def __init__(self, fetch: Callable[[str, float], Any], close: Callable[[], None]) -> None:
        """`fetch` gets a token for a scope within some seconds: an object with `token` and `expires_on`."""
        self._fetch = fetch
        self._close = close
        self._token: Any = None
        self._renewals = Renewals()

    def authorize(self, method: str, url: str, headers: Mapping[str, str], length: int) -> tuple[str, dict[str, str]]:
        del method, length
        return url, {**headers, **_dated(), "Authorization": f"Bearer {self._current()}"}

    def _current(self) -> str:
        """Return the present token, or a new one in time."""

        def has(seconds: float) -> bool:
            return self._token is not None and self._token.expires_on - time.time() >= seconds

        try:
            self._renewals.renew(lambda: not has(_RENEW), lambda: has(_LAST), self._renew)
        except Exception as error:  # noqa: BLE001 - raised as one of several errors
            self._raise(error)
        token: str = self._token.token
        return token

    def _renew(self) -> None:
        self._token = self._fetch(_SCOPE, _TOKEN_SECONDS)

    def _raise(self, error: Exception) -> NoReturn:
        """Raise without the cause, because its HTTP status is not the store's."""
        is_refused = any(kind.__name__ == "ClientAuthenticationError" for kind in type(error).__mro__)
        if self._token is not None or (is_refused and getattr(error, "response", None) is None):
            # Credentials that were good before will be so again; and where no service has answered, one may.
            raise NoTokenYetError(str(error)) from None
        if is_refused:
            raise NoTokenError(str(error)) from None
        raise error

    def end(self) -> float | None:
        return None  # renewed before

    def close(self) -> None:
        self._close()


def _dated() -> dict[str, str]:
    return {"x-ms-date": formatdate(usegmt=True), "x-ms-version": API_VERSION}
