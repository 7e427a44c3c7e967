"""What Google's answers mean, and which of them are not believed."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ...checksum import from_base64
from ...errors import NotFound, StorageError, Unreachable
from ..contract import ObjectInfo
from ..errors import translating
from ..http.ranges import total_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# A header of the answers with bytes.
GENERATION = "x-goog-generation"


@contextmanager
def no_object_missing(doing: str) -> Iterator[None]:
    """As translating(), for requests that can't miss an object: a 404 then means something larger."""
    try:
        with translating(doing):
            yield
    except NotFound as error:
        raise StorageError(
            f"{doing}: the bucket does not exist, or the endpoint is no Google Cloud Storage; check `url` and "
            "`endpoint_url`"
        ) from error


def described(key: str, resource: Any) -> ObjectInfo:
    """An object by its resource in JSON."""
    try:
        size, generation = int(resource["size"]), str(resource["generation"])
    except (KeyError, TypeError, ValueError):
        raise Unreachable(
            f"the answer about {key} describes no object, so it is not the store's; check `endpoint_url` and the proxy"
        ) from None
    return ObjectInfo(key, size, generation, from_base64(resource.get("crc32c")), seconds(resource.get("timeCreated")))


def seconds(time: Any) -> float | None:
    """Seconds since 1970 of a time such as `2026-01-02T03:04:05.678Z`, all of which are UTC."""
    try:
        return datetime.strptime(time[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
    except (TypeError, ValueError):
        return None


def described_by_headers(key: str, headers: Mapping[str, str], status: int) -> ObjectInfo:
    """An object by the headers of an answer with bytes of it."""
    size = total_size(headers, status)
    generation = headers.get(GENERATION)
    if not generation or size is None:
        raise Unreachable(
            f"the answer with {key} tells neither size nor generation, so it is not the store's; check "
            "`endpoint_url` and the proxy"
        )
    return ObjectInfo(key, size, generation)
