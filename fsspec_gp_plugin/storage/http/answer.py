"""The answer to a request: its head, then its body from the socket into the caller's buffers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from .connection import Response


# Many segments share a line, and a part that is given up begins anew.
SLOWEST_RATE = 16 << 10
_LARGEST_MESSAGE = 64 << 10
_GATHERED = 256 << 10


class Deadline:
    """How long an exchange of so many bytes may stand still, and take."""

    def __init__(self, stall: float, size: int) -> None:
        """`stall` are seconds, `size` bytes."""
        self.stall = stall
        self.end = time.monotonic() + stall + size / SLOWEST_RATE

    def set(self, sock: socket.socket) -> None:
        """Give the socket's next call the time that is left; TimeoutError when there is none."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        sock.settimeout(min(self.stall, left))


def filling(into: memoryview, read_into: Callable[[memoryview], int]) -> Iterator[int]:
    """Fill a buffer by `read_into`, which gives 0 at the end; yields how many bytes came with each step. EOFError."""
    while into:
        count = read_into(into)
        if not count:
            raise EOFError(f"{len(into)} bytes before the end of a range")
        into = into[count:]
        yield count


class Answer:
    """The answer to a request: its status and headers, and a body to be read or dropped."""

    def __init__(
        self, release: Callable[[bool], None], sock: socket.socket, response: Response, deadline: Deadline
    ) -> None:
        """`release` is called once, with whether the connection is free for another request."""
        self._release: Callable[[bool], None] | None = release
        self._response = response
        self._deadline = deadline
        self._socket = sock
        self._has_begun = False
        self._broken: Exception | None = None
        self.status = response.status
        self.headers = response.headers
        # After this many bytes the connection is free for another request; None where the answer doesn't say.
        self.length = response.length

    def read_into(self, view: memoryview) -> int:
        """What has arrived of the body, at least a byte and at the most what fits; 0 at its end.

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
                # What came before counts; the next call meets the same.
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
            return 0  # however late it is by now
        self._deadline.set(self._socket)
        return self._response.read_into(view)

    def pieces(self, into: memoryview) -> Iterator[int]:
        """Fill the buffer from the body, and let go of the connection; yields how many bytes came with each step."""
        try:
            yield from filling(into, self.read_into)
        finally:
            self.end()

    def text(self, most: int = _LARGEST_MESSAGE) -> str:
        """The body of a short answer, such as a message of error: its first bytes, `most` of them at the most."""
        body = bytearray(min(most, self.length if self.length is not None else most))
        filled = 0
        with memoryview(body) as view:
            while filled < len(body) and (count := self.read_into(view[filled:])):
                filled += count
        return body[:filled].decode(errors="replace")

    def end(self) -> None:
        """Let go of the connection: kept where the body was read to its end, closed otherwise."""
        release, self._release = self._release, None
        if release is not None:
            self._response.close()
            release(self._response.is_free)
