"""The response to a request: its head, the check that it has the requested range, and its body, which goes from the
socket into the caller's buffers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ...errors import ObjectChanged, StorageError, Unreachable

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping

    from .connection import Response


# Many segments share a network link, and a part that is aborted starts from its first byte.
SLOWEST_RATE = 16 << 10
_LARGEST_MESSAGE = 64 << 10
_GATHERED = 256 << 10


class Deadline:
    """The time limits of an exchange: without progress, and in all."""

    def __init__(self, stall: float, size: int) -> None:
        """`stall`: seconds without progress. `size`: bytes of the exchange, which decide its total limit."""
        self.stall = stall
        self.end = time.monotonic() + stall + size / SLOWEST_RATE

    def set(self, sock: socket.socket) -> None:
        """Limit the socket's next call to the time that is left. Raises TimeoutError if there is none."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        sock.settimeout(min(self.stall, left))


def filling(into: memoryview, read_into: Callable[[memoryview], int]) -> Iterator[int]:
    """Fill a buffer by `read_into`, which returns 0 at the end; yield the bytes of each step. Raises EOFError."""
    while into:
        count = read_into(into)
        if not count:
            raise EOFError(f"{len(into)} bytes before the end of a range")
        into = into[count:]
        yield count


class Answer:
    """The response to a request: its status and headers, and a body to read or to leave."""

    def __init__(
        self, release: Callable[[bool], None], sock: socket.socket, response: Response, deadline: Deadline
    ) -> None:
        """`release` is called once, with True if the connection can take another request."""
        self._release: Callable[[bool], None] | None = release
        self._response = response
        self._deadline = deadline
        self._socket = sock
        self._has_begun = False
        self._broken: Exception | None = None
        self.status = response.status
        self.headers = response.headers
        # After so many bytes the connection can take another request; None if the response doesn't say.
        self.length = response.length

    def read_into(self, view: memoryview) -> int:
        """Read what has arrived of the body, at least one byte and at most what fits; return 0 at its end.

        The first call returns as soon as anything is there. Later ones gather: TLS hands over 16 KB at a time.
        """
        filled = 0
        enough = min(len(view), _GATHERED) if self._has_begun else 1
        while filled < enough:
            try:
                count = self._receive(view[filled:])
            except (OSError, EOFError) as error:
                if not filled:
                    raise
                # The bytes before the error count; the next call raises it.
                self._broken = error
                break
            if not count:
                break
            filled += count
        self._has_begun = True
        return filled

    def _receive(self, view: memoryview) -> int:
        if self._broken is not None:
            raise self._broken
        if self._response.is_over:
            return 0  # even if the time is up
        self._deadline.set(self._socket)
        return self._response.read_into(view)

    def pieces(self, into: memoryview) -> Iterator[int]:
        """Fill the buffer from the body, then release the connection; yield the bytes of each step."""
        try:
            yield from filling(into, self.read_into)
        finally:
            self.end()

    def text(self, most: int = _LARGEST_MESSAGE) -> str:
        """Return at most the first `most` bytes of the body, as for an error message."""
        body = bytearray(min(most, self.length if self.length is not None else most))
        filled = 0
        with memoryview(body) as view:
            while filled < len(body) and (count := self.read_into(view[filled:])):
                filled += count
        return body[:filled].decode(errors="replace")

    def end(self) -> None:
        """Release the connection: it is kept if the body was read to its end, else closed."""
        release, self._release = self._release, None
        if release is not None:
            self._response.close()
            release(self._response.is_free)


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
