"""Presigned requests: a URL with a signature in it, and the headers that the signature covers.

Whoever holds one can make that request with any HTTP client; the bytes themselves are not signed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .control import Control

# Parameters of S3 requests that travel as headers. One that is in neither list can't be presigned here.
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
_ELSEWHERE = {"Bucket", "Key", "PartNumber", "UploadId", "VersionId"}

# Long enough for a part that stalls until its time limit, short enough that a leaked URL is worth little.
SIGNATURE_SECONDS = 3600
# Whatever these files say is left to s3fs.
OTHER_FILES = ("~/.config/fsspec", "~/.boto", "/etc/boto.cfg")
METHODS = {"get_object": "GET", "head_object": "HEAD", "put_object": "PUT", "upload_part": "PUT"}


def variables() -> set[str]:
    """The names of the variables that may say something of S3."""
    return {name for name in os.environ if name.startswith(("AWS_", "BOTO_", "FSSPEC_"))}


def has_any_of(files: Iterable[str]) -> bool:
    """Whether this host has one of these files; "~" is the user's home."""
    return any(os.path.exists(os.path.expanduser(file)) for file in files)


class CannotPresignError(Exception):
    """The request has parameters that only the provider's library can send."""


class Presigned(NamedTuple):
    """A request that is ready to be sent."""

    method: str
    url: str
    headers: dict[str, str]


class Signer(Protocol):
    """Makes presigned requests."""

    def presign(self, operation: str, **parameters: Any) -> Presigned:
        """A request by its botocore method name, with the user's s3_additional_kwargs; CannotPresignError."""
        ...


def header_values(parameters: dict[str, Any]) -> dict[str, str]:
    """Those of the parameters that travel as headers; CannotPresignError when there are others."""
    headers = {}
    for name, value in parameters.items():
        if name in _HEADERS:
            headers[_HEADERS[name]] = str(value).lower() if isinstance(value, bool) else str(value)
        elif name not in _ELSEWHERE:
            raise CannotPresignError(name)
    return headers


class ControlSigner:
    """Signs by s3fs' client, which knows credentials of every kind and renews them."""

    def __init__(self, control: Control) -> None:
        """Makes no request before the first signature."""
        self._control = control

    def presign(self, operation: str, **parameters: Any) -> Presigned:
        url, merged = self._control.presigned(operation, parameters)
        headers = header_values(merged)
        if "Signature=" not in url:
            raise CannotPresignError("anonymous requests")
        return Presigned(METHODS[operation], url, headers)
