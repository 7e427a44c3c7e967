"""What can go wrong on the way to a server. A test adds these to `Proxy.faults`, at any time.

`times` is how often a fault strikes (None: always), `hits` how often it did. "up" is what the client sends, "down"
what the server answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.http_stream import Head

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{}</Code><Message>{}</Message></Error>'


@dataclass
class Request:
    """A request as the proxy saw it. `up` and `down` are the bytes of the bodies that were passed on."""

    connection: int
    method: str
    path: str
    headers: dict[str, str]
    size: int
    status: int | None = None
    answered_here: bool = False
    up: int = 0
    down: int = 0
    answer: Answer | None = field(default=None, repr=False)

    @property
    def range(self) -> str | None:
        """The Range header."""
        return self.headers.get("range")


@dataclass(kw_only=True)
class _Fault:
    times: int | None = 1
    hits: int = 0

    def strikes(self) -> bool:
        """Count one more, or say that it was often enough."""
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        return True


@dataclass
class Cut(_Fault):
    """The connection ends, or stands still, after so many bytes of one direction.

    It strikes the first connections that carry that many. `how`: "reset" (RST), "close" (a clean end), "stall" (for
    ever: neither side learns that the other has gone) or "swallow" (what either side sends is lost, until one hangs up,
    which the other learns).
    """

    direction: str
    after: int
    how: str = "reset"


@dataclass
class Flip(_Fault):
    """One bit of the byte at `offset` is another one, in the first bodies that have more than `larger_than` bytes."""

    direction: str
    offset: int
    larger_than: int = 0

    def meets(self, direction: str, head: Head) -> bool:
        """Whether it is for this body."""
        size = head.length or 0
        return direction == self.direction and size > max(self.larger_than, self.offset) and self.strikes()


@dataclass
class Answer(_Fault):
    """Matching requests get another answer than the server's, each `every`th of them.

    `status` 0 is no answer but a reset. With `forward` the server does its work and its answer is dropped; without, it
    never hears of the request, whose body is read and dropped, or with `at_once` not even read: the answer comes
    before it and the connection ends.
    """

    matching: Callable[[Request], bool] = lambda _: True
    status: int = 503
    body: str = _XML.format("SlowDown", "Please reduce your request rate.")
    every: int = 1
    forward: bool = False
    at_once: bool = False
    seen: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def meets(self, request: Request) -> bool:
        """Whether this request gets it."""
        if not self.matching(request):
            return False
        self.seen += 1
        return self.seen % self.every == 0 and self.strikes()

    def message(self, request: Request) -> bytes:
        """The whole answer."""
        body = b"" if request.method == "HEAD" else self.body.encode()
        lines = [
            f"HTTP/1.1 {self.status} From the proxy",
            "Content-Type: application/xml",
            f"Content-Length: {len(body)}",
            f"Connection: {'close' if self.at_once else 'keep-alive'}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def slow_down(every: int = 3, *, at_once: bool = False) -> Answer:
    """S3's 503 for each so-manieth request."""
    return Answer(every=every, at_once=at_once, times=None)


def completes(request: Request) -> bool:
    """Whether the request completes a multipart upload."""
    return request.method == "POST" and "uploadId=" in request.path


def lost_complete(times: int | None = 1) -> Answer:
    """The upload is completed and nobody hears of it: the connection is reset instead."""
    return Answer(completes, status=0, forward=True, times=times)


def failed_complete(times: int | None = 1, *, forward: bool = False) -> Answer:
    """A 200 that is an error when one reads it; with `forward` the upload is completed all the same."""
    body = _XML.format("InternalError", "We encountered an internal error. Please try again.")
    return Answer(completes, status=200, body=body, forward=forward, times=times)
