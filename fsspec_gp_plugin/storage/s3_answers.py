"""What an S3 store's answers mean, and which of them are not believed."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import NotFound, ObjectChanged, StorageError
from .errors import translating

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from .api import ObjectInfo


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


def is_known_to_be(data: memoryview, answer: dict[str, Any]) -> bool:
    """Whether the answer to a put already proves that the store holds these bytes and no framing around them."""
    if answer.get("SSECustomerAlgorithm") or str(answer.get("ServerSideEncryption", "")).startswith("aws:kms"):
        return True  # the ETag says nothing then, and stores that encrypt so know how to take an object
    return str(answer.get("ETag", "")).strip('"') == hashlib.md5(data, usedforsecurity=False).hexdigest()


def require_range(answer: dict[str, Any], start: int, end: int, info: ObjectInfo) -> None:
    """A gateway that ignores the Range header would answer with other bytes of the right number."""
    told = answer.get("ContentRange")
    if told is None:
        if start == 0 and answer.get("ContentLength") == end == info.size:
            return
    elif told.startswith(f"bytes {start}-{end - 1}/"):
        if told.endswith((f"/{info.size}", "/*")):
            return
        raise ObjectChanged(f"can't read {info.key}: its size has changed, {told} instead of {info.size} bytes")
    raise StorageError(f"can't read {info.key}: asked for bytes {start}-{end - 1}, the store gave {told or 'all'}")
