"""Finds the messages in a stream of HTTP/1.1 without changing a byte of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LONGEST_HEAD = 1 << 16


@dataclass
class Head:
    """A message's first line and headers; names are in lower case."""

    first: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def length(self) -> int | None:
        """Bytes of the body, where the head says it."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isdecimal() else None

    @property
    def chunked(self) -> bool:
        """Whether the body says itself where it ends."""
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.first.split()[1])


@dataclass
class Piece:
    """Some bytes of the stream: "head" (whole), "body" (from `offset` of it), "end" (no bytes), or "opaque"."""

    kind: str
    data: memoryview
    head: Head | None = None
    offset: int = 0


class Splitter:
    """Cuts a stream into pieces that are, put together, the stream."""

    def __init__(self, start: bytes, bodiless: Callable[[Head], bool]) -> None:
        """A stream that doesn't start with `start` (or with a method) is opaque; `bodiless` knows which messages end
        with their head.
        """
        self._start = start
        self._bodiless = bodiless
        self._held = bytearray()
        self._head = Head("")
        self._offset = 0
        self._left: float = 0
        self._state = "first"

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The pieces that end with these bytes. An unfinished head is held back."""
        rest = memoryview(data)
        while rest:
            if self._state == "opaque":
                yield Piece("opaque", rest)
                return
            if self._state in ("body", "chunk"):
                size = int(min(len(rest), self._left))
                yield self._body(rest[:size])
                rest = rest[size:]
                self._left -= size
                if not self._left:
                    if self._state == "body":
                        yield self._end()
                    else:
                        self._state = "chunk line"
                continue
            self._held += rest
            if self._state == "first" and not self._plausible():
                self._state = "opaque"
                rest = self._taken(len(self._held))
                continue
            mark = b"\r\n\r\n" if self._state in ("first", "head") else b"\r\n"
            end = self._held.find(mark)
            if end < 0:
                return
            taken = self._taken(end + len(mark))
            rest = self._taken(len(self._held))
            yield from self._line(taken) if mark == b"\r\n" else self._head_found(taken)

    def _plausible(self) -> bool:
        begin = bytes(self._held[: len(self._start)])
        if self._start:
            return self._start.startswith(begin)
        line, is_whole, _ = bytes(self._held).partition(b"\r\n")
        if is_whole:
            return b" HTTP/1." in line  # FTP's commands begin alike
        method, space, _ = line[:12].partition(b" ")
        return method.isalpha() and method.isupper() and (bool(space) or len(method) < 12)

    def _taken(self, size: int) -> memoryview:
        data = memoryview(bytes(self._held[:size]))
        del self._held[:size]
        return data

    def _head_found(self, data: memoryview) -> Iterator[Piece]:
        if len(data) > _LONGEST_HEAD:
            raise ValueError("a head of more than 64 KB")
        first, *lines = bytes(data).decode("latin-1").strip().split("\r\n")
        pairs = (line.partition(":") for line in lines)
        self._head = Head(first, {name.strip().lower(): value.strip() for name, _, value in pairs})
        self._offset = 0
        bodiless = self._bodiless(self._head)  # before the caller hears of this head
        yield Piece("head", data, self._head)
        length = self._head.length
        if bodiless or (not self._head.chunked and (length == 0 or (length is None and not self._start))):
            yield self._end()
        elif self._head.chunked:
            self._state = "chunk line"
        else:
            self._left = float("inf") if length is None else length  # else it ends with the connection
            self._state = "body"

    def _line(self, data: memoryview) -> Iterator[Piece]:
        """The size of a chunk, or a line of what follows the last one."""
        yield self._body(data)
        text = bytes(data).strip()
        if self._state == "trailer":
            if not text:
                yield self._end()
            return
        size = int(text.partition(b";")[0], 16)
        self._left = size + 2
        self._state = "chunk" if size else "trailer"

    def _body(self, data: memoryview) -> Piece:
        self._offset += len(data)
        return Piece("body", data, self._head, self._offset - len(data))

    def _end(self) -> Piece:
        self._state = "head"
        return Piece("end", memoryview(b""), self._head)
