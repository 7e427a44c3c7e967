"""Reads Google's responses, and rejects those that can't be Google's."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ...checksum import from_base64
from ...errors import Unreachable
from .. import error_translation
from ..contract import ObjectInfo
from ..http.answer import total_size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

# A header of the answers with bytes.
GENERATION = "x-goog-generation"


def no_object_missing(doing: str) -> AbstractContextManager[None]:
    """As translating(), for requests that don't name an object: a 404 then means a wrong bucket or endpoint."""
    meaning = "the bucket does not exist, or the endpoint is no Google Cloud Storage; check `url` and `endpoint_url`"
    return error_translation.no_object_missing(doing, meaning)


def described(key: str, resource: Any) -> ObjectInfo:
    """Return the object that a JSON resource describes."""
    try:
        size, generation = int(resource["size"]), str(resource["generation"])
    except (KeyError, TypeError, ValueError):
        raise Unreachable(
            f"the answer about {key} describes no object, so it is not the store's; check `endpoint_url` and the proxy"
        ) from None
    return ObjectInfo(key, size, generation, from_base64(resource.get("crc32c")), seconds(resource.get("timeCreated")))


def seconds(time: Any) -> float | None:
    """Return the seconds since 1970 of a UTC time such as `2026-01-02T03:04:05.678Z`."""
    try:
        return datetime.strptime(time[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
    except (TypeError, ValueError):
        return None


def described_by_headers(key: str, headers: Mapping[str, str], status: int) -> ObjectInfo:
    """Return the object that the headers of a response with its bytes describe."""
    size = total_size(headers, status)
    generation = headers.get(GENERATION)
    if not generation or size is None:
        raise Unreachable(
            f"the answer with {key} tells neither size nor generation, so it is not the store's; check "
            "`endpoint_url` and the proxy"
        )
    return ObjectInfo(key, size, generation)
