"""What the answers of an S3 store mean, and which answers can't be those of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import StorageError, Unreachable
from .. import error_translation
from ..error_translation import error_code, http_status
from ..http.answer import opaque, total_size
from ..plain_xml import element

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

# Each listing of objects, versions or uploads has at least one of these, even an empty one.
_OF_LISTINGS = ("IsTruncated", "Name", "Bucket", "MaxKeys", "MaxUploads", "Contents", "Versions", "Uploads")

# A store, or a gateway before it, that does not know this form of the request may answer so.
_FORM_REFUSED = {"301", "307", "308", "400", "401", "403", "405", "411", "501", "505"}
# These are about the object or its bytes, so that a request of another form would be answered the same.
_ABOUT_THE_OBJECT = {
    "BadDigest", "EntityTooLarge", "EntityTooSmall", "ExpiredToken", "ExpiredTokenException", "IncompleteBody",
    "InvalidPart", "InvalidToken", "InvalidTokenId", "NoSuchUpload", "RequestExpired", "RequestTimeout",
    "RequestTimeTooSkewed", "SlowDown", "TokenRefreshRequired",
    "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch",
}  # fmt: skip


class Refusal(Exception):
    """An answer that is no success, in the form of botocore's errors, which error_translation.py understands."""

    def __init__(self, status: int, text: str) -> None:
        """`text` is the answer's body: XML, or whatever a gateway sends instead."""
        code = element("Code", text)
        message = element("Message", text)
        super().__init__(f"HTTP status {status}{f', {code}' if code else ''}{f': {message}' if message else ''}")
        self.response = {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": str(status)},
        }


def is_form_refused(error: BaseException) -> bool:
    """Whether a request may have been refused for how it was made: presigned, or with a CRC-32C."""
    return http_status(error) in _FORM_REFUSED and error_code(error) not in _ABOUT_THE_OBJECT


def is_md5(headers: Mapping[str, str], digest: bytes) -> bool:
    """Whether the answer's ETag is this MD5: then the store holds these bytes and no framing around them."""
    encryption = headers.get("x-amz-server-side-encryption", "")
    if headers.get("x-amz-server-side-encryption-customer-algorithm") or encryption.startswith("aws:kms"):
        return True  # then the ETag says nothing, and stores that encrypt so know how to take an object
    return opaque(headers.get("etag")) == digest.hex()


def no_object_missing(doing: str) -> AbstractContextManager[None]:
    """As translating(), for requests that don't name an object: a 404 then means a wrong bucket or endpoint."""
    meaning = "the bucket does not exist, or the endpoint is no S3 service; check `url` and `endpoint_url`"
    return error_translation.no_object_missing(doing, meaning)


def writing(name: str) -> AbstractContextManager[None]:
    """As no_object_missing(), around requests that write the object of that name."""
    return no_object_missing(f"can't write {name}")


def require_etag(headers: Mapping[str, str], name: str) -> None:
    """Raises Unreachable for an answer to a request that wrote that object, if no S3 store can have given it: then the
    object at the key may be an older one.
    """
    if not headers.get("etag"):
        raise Unreachable(f"can't write {name}: the answer has no ETag, so it is not the store's")


def require_listing(page: Mapping[str, Any]) -> None:
    """Raises Unreachable for what is no listing: a portal's page that is XML would read as an empty one."""
    if not any(name in page for name in _OF_LISTINGS):
        raise Unreachable("the answer is no listing, so it is not the store's; check `endpoint_url` and the proxy")


def object_size(headers: Mapping[str, str], status: int) -> int:
    """The size of the whole object in bytes, by the answer to a ranged read or to a HEAD."""
    if not headers.get("etag"):
        # A page of some portal, not an object: all that speaks S3 has ETags.
        raise Unreachable("the answer has no ETag, so it is not the store's; check `endpoint_url` and the proxy")
    size = total_size(headers, status)
    if size is None:
        raise StorageError("the store does not tell the object's size")
    return size
