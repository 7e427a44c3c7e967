"""Whether an answer has the bytes that were asked for, of the version that was asked for: there are gateways that know
no ranges, and caches that give others.
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
    told = headers.get("content-range", "").rpartition("/")[2] if status == 206 else headers.get("content-length")
    return int(told) if told and told.isascii() and told.isdecimal() else None


def require_range(
    key: str, headers: Mapping[str, str], asked: tuple[int, int], size: int, version: str | None, *, tag: str = "etag"
) -> None:
    """The answer has bytes `asked[0]` to before `asked[1]` of an object of that size and version, which the header
    `tag` tells. ObjectChanged where it is another object by now; Unreachable for other bytes, as another attempt may
    pass by what gave them; StorageError where no ranges are sent.
    """
    start, end = asked
    if version and headers.get(tag) and opaque(headers.get(tag)) != opaque(version):
        raise ObjectChanged(f"can't read {key}: the object was replaced while it was being read")
    told = headers.get("content-range")
    if told is None:
        if start == 0 and headers.get("content-length", str(size)) == str(size) and end <= size:
            return
        raise StorageError(f"can't read {key}: asked for bytes {start}-{end - 1}, but the server sends no ranges")
    if not told.startswith(f"bytes {start}-{end - 1}/"):
        raise Unreachable(f"can't read {key}: asked for bytes {start}-{end - 1}, and got {told[:100]!r}")
    if not told.endswith((f"/{size}", "/*")):
        raise ObjectChanged(f"can't read {key}: its size has changed, {told[:100]!r} instead of {size} bytes")
