"""AWS Signature Version 4 in the query of a URL, for requests whose body is not signed.

The algorithm is published: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html. botocore's
S3SigV4QueryAuth makes the same URLs, but its import takes more CPU time than the whole backup of a small table.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Keys(NamedTuple):
    """An access key, and the token of the session that it belongs to, if any."""

    access_key: str
    secret_key: str
    token: str | None = None


class UrlSigner:
    """Signs URLs of one endpoint, region and access key. May be used from any thread."""

    def __init__(self, endpoint: str, region: str, keys: Keys) -> None:
        """`endpoint`: scheme, host and port, without a path."""
        self._endpoint = endpoint
        self._host = _host(endpoint)
        self._region = region
        self.keys = keys
        self._token = [] if keys.token is None else [f"X-Amz-Security-Token={quote(keys.token, safe='')}"]
        # The key of a day, and the day: it is derived by four hashes.
        self._day_key = ("", b"")

    def signed(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], seconds: int, now: float
    ) -> str:
        """The URL that makes this request for so many seconds from `now`, the time since the epoch.

        `path` is quoted already, `query` is not. The request must be sent with just these headers, beside Host and
        those of the kind of Range or Content-Length, which need no signature.
        """
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        scope = f"{moment[:8]}/{self._region}/s3/aws4_request"
        signed = {"host": self._host, **{name.lower(): " ".join(value.split()) for name, value in headers.items()}}
        names = ";".join(sorted(signed))
        pairs = [
            *(f"{name}={quote(value, safe='')}" for name, value in query.items()),
            f"X-Amz-Algorithm={_ALGORITHM}",
            f"X-Amz-Credential={quote(f'{self.keys.access_key}/{scope}', safe='')}",
            f"X-Amz-Date={moment}",
            f"X-Amz-Expires={seconds}",
            f"X-Amz-SignedHeaders={names.replace(';', '%3B')}",
            *self._token,
        ]
        lines = [method, path, "&".join(sorted(pairs)), *(f"{name}:{signed[name]}" for name in sorted(signed))]
        canonical = "\n".join([*lines, "", names, "UNSIGNED-PAYLOAD"])
        text = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signature = _hashed(self._key_of(moment[:8]), text).hex()
        return f"{self._endpoint}{path}?{'&'.join(pairs)}&X-Amz-Signature={signature}"

    def _key_of(self, day: str) -> bytes:
        known, key = self._day_key
        if known != day:
            key = f"AWS4{self.keys.secret_key}".encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = _hashed(key, part)
            self._day_key = (day, key)
        return key


def _hashed(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _host(endpoint: str) -> str:
    """The value of the Host header: without a port that is the scheme's own."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    return host if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{parts.port}"
