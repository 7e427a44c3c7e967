"""What an S3 store's answers mean, and which of them are not believed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...errors import NotFound, StorageError, Unreachable
from ..errors import translating
from ..http.ranges import total_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

# Each listing of objects, versions or uploads has some of them, also an empty one.
_OF_LISTINGS = ("IsTruncated", "Name", "Bucket", "MaxKeys", "MaxUploads", "Contents", "Versions", "Uploads")


@contextmanager
def no_object_missing(doing: str) -> Iterator[None]:
    """As translating(), for requests that can't miss an object: a 404 then means something larger."""
    try:
        with translating(doing):
            yield
    except NotFound as error:
        raise StorageError(
            f"{doing}: the bucket does not exist, or the endpoint is no S3 service; check `url` and `endpoint_url`"
        ) from error


def writing(name: str) -> AbstractContextManager[None]:
    """As translating(), around requests that write the object of that name."""
    return no_object_missing(f"can't write {name}")


def require_listing(page: Mapping[str, Any]) -> None:
    """A page of some portal that happens to be XML would read as an empty listing."""
    if not any(name in page for name in _OF_LISTINGS):
        raise Unreachable("the answer is no listing, so it is not the store's; check `endpoint_url` and the proxy")


def answered_size(headers: Mapping[str, str], status: int) -> int:
    """Bytes of the whole object, by the answer to a ranged read of it, or to a HEAD."""
    if not headers.get("etag"):
        # A page of some portal, not an object: all that speaks S3 has ETags.
        raise Unreachable("the answer has no ETag, so it is not the store's; check `endpoint_url` and the proxy")
    size = total_size(headers, status)
    if size is None:
        raise StorageError("the store does not tell the object's size")
    return size
