"""HTTP/1.1 over one socket: the head of a request, and an answer.

Python's http.client does the same with its parser of e-mail, which takes 10 ms to import and 0.2 ms for each answer, a
tenth of what a small table costs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

_LONGEST_LINE = 64 << 10
_MOST_LINES = 100
# As many digits as a number of 64 bits.
_LONGEST_NUMBER = 20
_UNFIT_TARGET = re.compile(r"[\x00-\x20\x7f]")
_UNFIT_HEADER = re.compile(r"[\x00\r\n]")


class BadAnswerError(ConnectionError):
    """The response is not HTTP, or ends early."""


def request_head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """Return the head of a request. Raises ValueError for text that would end a line early."""
    if _UNFIT_TARGET.search(target):
        raise ValueError("the URL holds a blank or a control character")
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in headers.items():
        if _UNFIT_HEADER.search(value):
            raise ValueError(f"the value of the header {name} holds a control character")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "Accept-Encoding: identity", "", ""]).encode("latin-1")


class Response:
    """A response whose head has been read; its body is read as it arrives."""

    def __init__(self, sock: socket.socket, method: str) -> None:
        """Read the head. Raises OSError, BadAnswerError among them."""
        # Not kept for the next response: surplus bytes of a server must not become part of it.
        self._reader = sock.makefile("rb")
        try:
            self._read_head(method)
        except BaseException:
            self._reader.close()
            raise

    def _read_head(self, method: str) -> None:
        self.status = 100
        while self.status < 200:  # an interim response
            version, self.status = self._status_line()
            self.headers = self._header_lines()
        connection = self.headers.get("connection", "").lower()
        self.is_last = "close" in connection or (version == "HTTP/1.0" and "keep-alive" not in connection)
        self.is_chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        # Bytes of the body that are still to be read; None if only its end will show that.
        self.length = None if self.is_chunked else _length(self.headers.get("content-length", ""))
        if method == "HEAD" or self.status in (204, 304):
            self.is_chunked, self.length = False, 0
        # Bytes of the chunk that is being read; None before the first one.
        self._chunk: int | None = None
        self._is_over = False

    def _status_line(self) -> tuple[str, int]:
        line = self._line()
        if not line:
            raise BadAnswerError("the connection was closed without an answer")
        version, _, rest = line.partition(" ")
        code = rest.lstrip().partition(" ")[0]
        if not version.startswith("HTTP/1.") or len(code) != 3 or not code.isdecimal() or code < "100":
            raise BadAnswerError("the answer is none of HTTP/1.1")
        return version, int(code)

    def _header_lines(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        name = ""
        for _ in range(_MOST_LINES + 1):
            line = self._line()
            if not line.endswith("\n"):
                raise BadAnswerError("the answer broke off in its head")
            text = line.strip()
            if not text:
                return headers
            if line[0] in " \t" and name:
                headers[name] += f" {text}"
                continue
            name, _, value = text.partition(":")
            name = name.lower()
            headers[name] = value.lstrip()
        raise BadAnswerError("the answer's head has too many lines")

    def _line(self) -> str:
        line = self._reader.readline(_LONGEST_LINE + 1)
        if len(line) > _LONGEST_LINE:
            raise BadAnswerError("a line of the answer is too long")
        return line.decode("latin-1")

    def read_into(self, view: memoryview) -> int:
        """Read what has arrived of the body; return 0 at its end. Raises EOFError if it ends early, OSError."""
        if self.is_over or not view:
            return 0
        if self.is_chunked and not self._chunk:
            self._chunk = self._next_chunk()
        left = self._chunk if self.is_chunked else self.length
        if left == 0:
            self._is_over = True
            return 0
        # Straight from the socket, unless some bytes arrived together with the head.
        count = self._reader.readinto1(view if left is None else view[:left])
        if left is None:
            self._is_over = not count
        elif not count:
            raise EOFError(f"{left} bytes before the end of {'a chunk of ' if self.is_chunked else ''}the answer")
        elif self.is_chunked:
            self._chunk = left - count
        else:
            self.length = left - count
        return count

    def _next_chunk(self) -> int:
        if self._chunk is not None:
            self._line()  # the line end of the previous chunk
        size = _length_in_hex(self._line().partition(";")[0].strip())
        if not size:
            while self._line().strip():  # trailers after the last chunk
                pass
        return size

    @property
    def is_over(self) -> bool:
        """Return whether the body was read to its end."""
        return self._is_over or self.length == 0

    @property
    def is_free(self) -> bool:
        """Return whether the connection can take another request: the body has a length and was read to its end."""
        return self.length == 0 and not self.is_last and not self.is_chunked

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()


def _length_in_hex(text: str) -> int:
    if not re.fullmatch("[0-9a-fA-F]{1,16}", text):
        raise EOFError("the answer ended before its last chunk")
    return int(text, 16)


def _length(text: str) -> int | None:
    if not text.isdecimal() or not text.isascii():
        return None
    if len(text) > _LONGEST_NUMBER:
        raise BadAnswerError("the answer's length is no length")
    return int(text)
