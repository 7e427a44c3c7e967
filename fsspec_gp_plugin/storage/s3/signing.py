"""Presigned requests: a URL that holds an AWS Signature Version 4, and the headers that this signature covers.

Anybody who holds such a URL can make the request with any HTTP client; the body is not signed. The algorithm is
published: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html. botocore's S3SigV4QueryAuth
makes the same URLs, but its import takes 0.1 s of CPU time, more than the whole backup of a small table.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Parameters of S3 requests that travel as headers. A request with a parameter of neither list can't be presigned here.
_HEADERS = {
    "ACL": "x-amz-acl",
    "BucketKeyEnabled": "x-amz-server-side-encryption-bucket-key-enabled",
    "CacheControl": "Cache-Control",
    "ChecksumCRC32C": "x-amz-checksum-crc32c",
    "ChecksumMode": "x-amz-checksum-mode",
    "ContentMD5": "Content-MD5",
    "ContentType": "Content-Type",
    "ExpectedBucketOwner": "x-amz-expected-bucket-owner",
    "GrantFullControl": "x-amz-grant-full-control",
    "GrantRead": "x-amz-grant-read",
    "IfNoneMatch": "If-None-Match",
    "ObjectLockLegalHoldStatus": "x-amz-object-lock-legal-hold",
    "ObjectLockMode": "x-amz-object-lock-mode",
    "RequestPayer": "x-amz-request-payer",
    "SSEKMSEncryptionContext": "x-amz-server-side-encryption-context",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
}
_QUERY = {
    "ContinuationToken": "continuation-token",
    "Delimiter": "delimiter",
    "EncodingType": "encoding-type",
    "Marker": "marker",
    "PartNumber": "partNumber",
    "Prefix": "prefix",
    "UploadId": "uploadId",
    "VersionId": "versionId",
}
_ELSEWHERE = {"Bucket", "Key", *_QUERY}
# What requests of that name have in their queries each time.
_FIXED_QUERY = {"list_objects_v2": {"list-type": "2"}}
# Requests that create no object take only these of the user's s3_additional_kwargs, as S3 knows no others there.
_NOT_CREATING = {"get_object", "head_object", "list_objects", "list_objects_v2", "upload_part"}
_FOR_EVERY_REQUEST = {"RequestPayer", "ExpectedBucketOwner", "ChecksumCRC32C", "ChecksumMode", "ContentMD5"}
METHODS = {
    "get_object": "GET",
    "head_object": "HEAD",
    "list_objects": "GET",
    "list_objects_v2": "GET",
    "put_object": "PUT",
    "upload_part": "PUT",
}
# Long enough for a part that stalls until its time limit, short enough that a leaked URL is worth little.
SIGNATURE_SECONDS = 3600
_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class CannotPresignError(Exception):
    """Only s3fs can send the request, because of a parameter or of the way to the store."""


class Keys(NamedTuple):
    """An access key, and the token of its session, if it belongs to one."""

    access_key: str
    secret_key: str
    token: str | None = None


class Presigned(NamedTuple):
    """A request that is ready to be sent."""

    method: str
    url: str
    headers: dict[str, str]


class Signer(Protocol):
    """Makes presigned requests."""

    def presign(self, operation: str, **parameters: Any) -> Presigned:
        """The request of a botocore method, with the user's s3_additional_kwargs. Raises CannotPresignError."""
        ...


def signed_headers(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The parameters that travel as headers. Raises CannotPresignError for a parameter that nothing here can send."""
    headers = {}
    for name, value in parameters.items():
        if name in _HEADERS:
            headers[_HEADERS[name]] = str(value).lower() if isinstance(value, bool) else str(value)
        elif name not in _ELSEWHERE:
            raise CannotPresignError(name)
    return headers


class OwnSigner:
    """Signs requests on one bucket without s3fs. May be used from any thread."""

    def __init__(
        self, address: str, region: str, keys: Callable[[], Keys], additional: Mapping[str, Any] | None = None
    ) -> None:
        """`address`: the bucket's, without a slash at its end. `keys` returns those that are valid now. `additional`:
        the user's s3_additional_kwargs.
        """
        parts = urlsplit(address)
        self.endpoint = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path
        self._host = _host(self.endpoint)
        self._region = region
        self._keys = keys
        self._additional = additional or {}
        # The signing key is derived by four hashes, and holds for these keys on this day.
        self._day_key: tuple[Keys, str, bytes] | None = None

    def presign(self, operation: str, **parameters: Any) -> Presigned:
        additional = {
            name: value
            for name, value in self._additional.items()
            if operation not in _NOT_CREATING or name in _FOR_EVERY_REQUEST or name.startswith("SSECustomer")
        }
        merged = {**additional, **parameters}
        headers = signed_headers(merged)
        query = {_QUERY[name]: str(value) for name, value in merged.items() if name in _QUERY}
        query |= _FIXED_QUERY.get(operation, {})
        path = f"{self._path}/{quote(merged['Key'], safe='/~')}" if "Key" in merged else self._path or "/"
        method = METHODS[operation]
        return Presigned(method, self.sign(method, path, query, headers, time.time()), headers)

    def sign(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], now: float) -> str:
        """The URL that makes this request for SIGNATURE_SECONDS from `now`, the time since the epoch.

        `path` is quoted already, `query` is not. The request must be sent with exactly these headers, and may have
        others that need no signature, such as Host, Range and Content-Length.
        """
        keys = self._keys()
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        scope = f"{moment[:8]}/{self._region}/s3/aws4_request"
        signed = {"host": self._host, **{name.lower(): " ".join(value.split()) for name, value in headers.items()}}
        names = ";".join(sorted(signed))
        pairs = [
            *(f"{name}={quote(value, safe='')}" for name, value in query.items()),
            f"X-Amz-Algorithm={_ALGORITHM}",
            f"X-Amz-Credential={quote(f'{keys.access_key}/{scope}', safe='')}",
            f"X-Amz-Date={moment}",
            f"X-Amz-Expires={SIGNATURE_SECONDS}",
            f"X-Amz-SignedHeaders={names.replace(';', '%3B')}",
            *([] if keys.token is None else [f"X-Amz-Security-Token={quote(keys.token, safe='')}"]),
        ]
        lines = [method, path, "&".join(sorted(pairs)), *(f"{name}:{signed[name]}" for name in sorted(signed))]
        canonical = "\n".join([*lines, "", names, "UNSIGNED-PAYLOAD"])
        text = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signature = _hmac(self._key_of(keys, moment[:8]), text).hex()
        return f"{self.endpoint}{path}?{'&'.join(pairs)}&X-Amz-Signature={signature}"

    def _key_of(self, keys: Keys, day: str) -> bytes:
        cached = self._day_key
        if cached is not None and cached[:2] == (keys, day):
            return cached[2]
        key = f"AWS4{keys.secret_key}".encode()
        for part in (day, self._region, "s3", "aws4_request"):
            key = _hmac(key, part)
        self._day_key = keys, day, key
        return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _host(endpoint: str) -> str:
    """The value of the Host header: without a port that is the scheme's own."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    return host if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{parts.port}"
