"""Checks that a response has the requested range of the requested version: some gateways don't know ranges, and some
caches send others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ObjectChanged, StorageError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping


def opaque(etag: str | None) -> str:
    """Return an ETag without its weak mark and without its quotes, which some listings leave out."""
    return (etag or "").removeprefix("W/").strip('"')


def if_match(etag: str | None) -> dict[str, str]:
    """Return the header that pins a request to one version; nothing for a weak ETag, which never matches."""
    return {} if not etag or etag.startswith("W/") else {"If-Match": etag}


def total_size(headers: Mapping[str, str], status: int) -> int | None:
    """Return the size of the whole object by the response to a ranged read or a HEAD; None if it doesn't say."""
    size = headers.get("content-range", "").rpartition("/")[2] if status == 206 else headers.get("content-length")
    return int(size) if size and size.isascii() and size.isdecimal() else None


def require_range(
    key: str,
    headers: Mapping[str, str],
    requested: tuple[int, int],
    size: int,
    version: str | None,
    *,
    tag: str = "etag",
) -> None:
    """Require bytes `requested[0]` to before `requested[1]` of an object of that size and version, which the header
    `tag` holds. Raises ObjectChanged if the object was replaced; Unreachable for other bytes, as a retry may avoid the
    cache that sent them; StorageError if the server sends no ranges.
    """
    start, end = requested
    if version and headers.get(tag) and opaque(headers.get(tag)) != opaque(version):
        raise ObjectChanged(f"can't read {key}: the object was replaced while it was being read")
    content_range = headers.get("content-range")
    if content_range is None:
        if start == 0 and headers.get("content-length", str(size)) == str(size) and end <= size:
            return
        raise StorageError(f"can't read {key}: asked for bytes {start}-{end - 1}, but the server sends no ranges")
    if not content_range.startswith(f"bytes {start}-{end - 1}/"):
        raise Unreachable(f"can't read {key}: asked for bytes {start}-{end - 1}, and got {content_range[:100]!r}")
    if not content_range.endswith((f"/{size}", "/*")):
        raise ObjectChanged(f"can't read {key}: its size has changed, {content_range[:100]!r} instead of {size} bytes")
