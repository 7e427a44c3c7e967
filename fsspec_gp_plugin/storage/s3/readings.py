"""A range of an object on its way from S3, in either way."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..http.answer import filling
from ..http.ranges import if_match

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..http.answer import Answer
    from .control import Control

_PIECE = 1 << 20


class Reading:
    """A range being read: the answer's status and headers, then its bytes."""

    status: int
    headers: Mapping[str, str]  # names in lower case

    def pieces(self, into: memoryview) -> Iterator[int]:
        """Fill the buffer, and let go of the connection; yields the bytes that came with each step."""
        try:
            yield from filling(into, self._read_into)
        finally:
            self.end()

    def _read_into(self, into: memoryview) -> int:
        raise NotImplementedError

    def end(self) -> None:
        """Let go of the connection."""
        raise NotImplementedError


class DirectReading(Reading):
    """On a connection of our own."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.status, self.headers = answer.status, answer.headers

    def _read_into(self, into: memoryview) -> int:
        return self._answer.read_into(into)

    def end(self) -> None:
        self._answer.end()


class PlainReading(Reading):
    """Through s3fs."""

    def __init__(self, control: Control, target: dict[str, str], start: int, end: int, version: str | None) -> None:
        self._control = control
        pinned = {"IfMatch": version} if if_match(version) else {}
        answer = control.call("get_object", **target, Range=f"bytes={start}-{end - 1}", **pinned)
        self._body = answer["Body"]
        self.status = answer["ResponseMetadata"]["HTTPStatusCode"]
        self.headers = answer["ResponseMetadata"].get("HTTPHeaders", {})

    def _read_into(self, into: memoryview) -> int:
        reading = _gathered(self._body, min(_PIECE, len(into)))
        piece: bytes = self._control.outcome(self._control.submit(reading), _PIECE)
        into[: len(piece)] = piece
        return len(piece)

    def end(self) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._control.fs.loop.call_soon_threadsafe(self._body.close)


async def _gathered(body: Any, size: int) -> bytes:
    """Up to `size` bytes: the connection hands over a few kilobytes at a time."""
    pieces = []
    while size > 0 and (piece := await body.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
