"""A link as a cloud has it: each connection has a rate of its own, and answers take their time."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

_CHUNK = 256 << 10
_SLACK = 0.02  # seconds of lateness of this process that must not cost throughput


@dataclass(frozen=True)
class Link:
    """Bytes a second of each direction of a connection, and seconds that a byte needs to the server and back."""

    rate: float | None = None
    round_trip: float = 0.0

    @property
    def window(self) -> int:
        """Bytes on the way before the sender has to wait."""
        if self.rate is None:
            return max(_CHUNK, int(self.round_trip * 100e6))
        return max(2 * self.chunk, int(self.rate * (self.round_trip / 2 + _SLACK) * 1.25))

    @property
    def chunk(self) -> int:
        """Bytes to take at once: few where they go slowly."""
        return _CHUNK if self.rate is None else int(min(_CHUNK, max(self.rate / 100, 1024)))


class Line:
    """What is on the way in one direction of one connection."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.size = 0
        self._free = time.monotonic() + link.round_trip  # the handshake
        self._items: deque[tuple[float, memoryview | Callable[[], None]]] = deque()

    @property
    def room(self) -> bool:
        """Whether more may be put on the way."""
        return self.size < self.link.window

    @property
    def due(self) -> float | None:
        """When the first item arrives, or None."""
        return self._items[0][0] if self._items else None

    def put(self, item: memoryview | Callable[[], None]) -> None:
        """Send bytes on their way, or something to do when all before it has arrived."""
        now = time.monotonic()
        self._free = max(now, self._free)
        if isinstance(item, memoryview):
            self.size += len(item)
            if self.link.rate is not None:
                self._free += len(item) / self.link.rate
        self._items.append((self._free + self.link.round_trip / 2, item))

    def first(self) -> memoryview | Callable[[], None] | None:
        """What has arrived."""
        if self._items and self._items[0][0] <= time.monotonic():
            return self._items[0][1]
        return None

    def taken(self, size: int = 0) -> None:
        """The first item is done with, or so many bytes of it."""
        due, item = self._items.popleft()
        if isinstance(item, memoryview):
            self.size -= size
            if size < len(item):
                self._items.appendleft((due, item[size:]))


class Lane:
    """One direction: what was read from one socket is on its way to the other."""

    def __init__(self, name: str, source: socket.socket, sink: socket.socket, line: Line) -> None:
        self.name = name
        self.source = source
        self.sink = sink
        self.line = line
        self.count = 0
        self.open = True  # whether more is read
        self.blocked = False  # whether the sink takes no more for now
