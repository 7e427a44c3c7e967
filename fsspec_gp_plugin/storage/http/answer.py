"""The answer to a request: its head, then its body from the socket into the caller's buffers."""

from __future__ import annotations

import http.client
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator


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


class Answer:
    """The answer to a request: its status and headers, and a body to be read or dropped."""

    def __init__(
        self,
        release: Callable[[http.client.HTTPConnection | None], None],
        connection: http.client.HTTPConnection,
        sock: socket.socket,
        response: http.client.HTTPResponse,
        deadline: Deadline,
    ) -> None:
        """`release` is called once, with the connection when it is free for another request, else with None."""
        self._release = release
        self._connection: http.client.HTTPConnection | None = connection
        self._response = response
        self._deadline = deadline
        # Kept apart: the connection lets go of it where the answer says that it is the last.
        self._socket = sock
        self._has_begun = False
        self._broken: Exception | None = None
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
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
            except (OSError, EOFError, http.client.HTTPException) as error:
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
        if self._response.isclosed():
            return 0  # its end has been read, and the connection's last answer takes the socket with it
        self._deadline.set(self._socket)
        response: Any = self._response
        if response.chunked or response.length is None:
            count: int = response.readinto(view[: 64 << 10])
            return count
        # Straight from the socket: HTTPResponse.readinto() waits until all of the view is filled.
        wanted = min(len(view), response.length)
        count = response.fp.readinto1(view[:wanted]) if wanted else 0
        if wanted and not count:
            raise EOFError(f"{response.length} bytes before the end of the answer")
        response.length -= count
        return count

    def pieces(self, into: memoryview) -> Iterator[int]:
        """Fill the buffer from the body, and let go of the connection; yields how many bytes came with each step."""
        try:
            while into:
                count = self.read_into(into)
                if not count:
                    raise EOFError(f"{len(into)} bytes before the end of a range")
                into = into[count:]
                yield count
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
        connection, self._connection = self._connection, None
        if connection is None:
            return
        response = self._response
        free = response.length == 0 and not response.will_close and not response.chunked
        response.close()
        if not free:
            connection.close()
        self._release(connection if free else None)
