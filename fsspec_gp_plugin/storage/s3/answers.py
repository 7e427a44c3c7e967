"""What an S3 store's answers mean, and which of them are not believed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...errors import NotFound, ObjectChanged, StorageError, Unreachable
from ..errors import translating

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from ..api import ObjectInfo

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
    told = headers.get("content-range", "").rpartition("/")[2] if status == 206 else headers.get("content-length")
    if not told or not told.isdecimal():
        raise StorageError("the store does not tell the object's size")
    return int(told)


def require_range(headers: Mapping[str, str], start: int, end: int, info: ObjectInfo) -> None:
    """A gateway that ignores the Range header would answer with other bytes of the right number."""
    if info.version and headers.get("etag", info.version) != info.version:
        raise ObjectChanged(f"can't read {info.key}: the object was replaced while it was being read")
    told = headers.get("content-range")
    if told is None:
        if start == 0 and headers.get("content-length") == str(info.size) and end <= info.size:
            return
    elif told.startswith(f"bytes {start}-{end - 1}/"):
        if told.endswith((f"/{info.size}", "/*")):
            return
        raise ObjectChanged(f"can't read {info.key}: its size has changed, {told} instead of {info.size} bytes")
    raise StorageError(f"can't read {info.key}: asked for bytes {start}-{end - 1}, the store gave {told or 'all'}")
