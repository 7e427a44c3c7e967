"""One connection through the proxy: two lanes, what is recorded of them, and where the faults strike.

All of it runs in the proxy's own thread.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from tests.servers.faults import Answer, Cut, Flip, Request
from tests.servers.http_stream import Splitter
from tests.servers.link import Lane, Line

if TYPE_CHECKING:
    from tests.servers.http_stream import Head, Piece
    from tests.servers.proxy import Proxy

_CONTINUE = memoryview(b"HTTP/1.1 100 Continue\r\n\r\n")


class Connection:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, number: int, client: socket.socket, server: socket.socket) -> None:
        self.proxy = proxy
        self.number = number
        self.requests: list[Request] = []
        self.stalled = False
        self._swallowing = False
        self.closed = False
        self.moved = time.monotonic()
        self._client = client
        self._server = server
        self._lanes = (
            Lane("up", client, server, Line(proxy.link)),
            Lane("down", server, client, Line(proxy.link)),
        )
        self._splitters = {"up": Splitter(b"", self._asks_nothing), "down": Splitter(b"HTTP/1.", self._has_no_body)}
        self._unanswered: deque[Request] = deque()
        self._dropping = False
        self._flip_at: dict[str, int | None] = {"up": None, "down": None}
        self._masks: dict[socket.socket, int] = {}
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def up(self) -> int:
        """Bytes passed to the server, heads included."""
        return self._lanes[0].count

    @property
    def down(self) -> int:
        """Bytes passed to the client, heads included."""
        return self._lanes[1].count

    def work(self, sock: socket.socket | None = None, mask: int = 0) -> None:
        """Move what can be moved: a socket is ready, or some bytes have arrived."""
        try:
            for lane in self._lanes:
                if lane.sink is sock and mask & selectors.EVENT_WRITE:
                    lane.blocked = False
                if lane.source is sock and mask & selectors.EVENT_READ and not self.closed:
                    self._read(lane)
            for lane in self._lanes:
                self._write(lane)
        except OSError:
            self.reset()
        self._watch()

    def due(self) -> float | None:
        """When there is something to do though no socket is ready."""
        if self.stalled or self.closed:
            return None
        times = [lane.line.due for lane in self._lanes if not lane.blocked]
        return min((due for due in times if due is not None), default=None)

    def _watch(self) -> None:
        """Wait for just those sockets that can bring us on."""
        up, down = self._lanes
        for sock, reading, writing in ((self._client, up, down), (self._server, down, up)):
            mask = 0
            if not self.closed and not self.stalled:
                mask |= selectors.EVENT_READ if reading.open and reading.line.room else 0
                mask |= selectors.EVENT_WRITE if writing.blocked else 0
            if mask != self._masks.get(sock, 0):
                self.proxy.watch(sock, self._masks.get(sock, 0), mask, partial(self.work, sock))
                self._masks[sock] = mask

    def _read(self, lane: Lane) -> None:
        if not lane.open or self.stalled:
            return
        with suppress(BlockingIOError):
            data = lane.source.recv(lane.line.link.chunk)
            self.moved = time.monotonic()
            if self._swallowing:
                if not data:
                    self.reset()
                return
            if not data:
                lane.open = False
                lane.line.put(partial(self._end, lane))
                return
            for piece in self._splitters[lane.name].feed(data):
                if self.closed or not lane.open or self._swallowing:
                    return
                (self._up if lane.name == "up" else self._down)(lane, piece)

    def _write(self, lane: Lane) -> None:
        while not self.closed and not self.stalled and (item := lane.line.first()) is not None:
            if not isinstance(item, memoryview):
                lane.line.taken()
                item()
                continue
            try:
                lane.line.taken(lane.sink.send(item))
            except BlockingIOError:
                lane.blocked = True
                return
            self.moved = time.monotonic()

    def _pass(self, lane: Lane, data: memoryview) -> None:
        """Send some bytes on, up to where a fault cuts them off."""
        for fault in self.proxy.faults:
            if isinstance(fault, Cut) and fault.direction == lane.name and lane.count + len(data) >= fault.after:
                if not fault.strikes():
                    continue
                data = data[: max(0, fault.after - lane.count)]
                lane.open = fault.how == "swallow"
                if data:
                    lane.count += len(data)
                    lane.line.put(data)
                self._swallowing = fault.how == "swallow"
                if not self._swallowing:
                    lane.line.put({"reset": self.reset, "close": self.close, "stall": self._stall}[fault.how])
                return
        lane.count += len(data)
        lane.line.put(data)

    def _up(self, lane: Lane, piece: Piece) -> None:
        if piece.kind == "head" and piece.head is not None:
            self._begin(piece.head)
        request = self.requests[-1] if self.requests else None
        if not self._dropping:
            if piece.kind == "body" and request is not None:
                request.up += len(piece.data)
            if piece.data:
                self._pass(lane, self._flipped(lane, piece))
        elif piece.kind == "end" and request is not None and request.answer is not None and lane.open:
            self._dropping = False
            self._answer(request, request.answer)

    def _begin(self, head: Head) -> None:
        method, path, *_ = head.first.split(" ")
        request = Request(self.number, method, path, head.headers, head.length or 0)
        self.requests.append(request)
        self.proxy.requests.append(request)
        for fault in self.proxy.faults:
            if isinstance(fault, Answer) and fault.meets(request):
                request.answer = fault
                break
        if request.answer is None or request.answer.forward:
            self._unanswered.append(request)
            self._aim("up", head)
            return
        self._dropping = True
        if request.answer.at_once:
            self._answer(request, request.answer)
            self._lanes[0].open = False  # the rest of the body stays unread
            self._lanes[1].line.put(self._finish)
        elif head.headers.get("expect"):
            self._lanes[1].line.put(_CONTINUE)

    def _answer(self, request: Request, answer: Answer) -> None:
        if answer.status == 0:
            self.reset()
            return
        request.status = answer.status
        request.answered_here = True
        self._lanes[1].line.put(memoryview(answer.message(request)))

    def _down(self, lane: Lane, piece: Piece) -> None:
        request = self._unanswered[0] if self._unanswered else None
        if piece.kind == "opaque" or request is None or piece.head is None:
            self._pass(lane, piece.data)
            return
        final = piece.head.status >= 200
        if request.answer is not None and final:  # its own is dropped, once it is there whole
            if piece.kind == "end":
                self._unanswered.popleft()
                self._answer(request, request.answer)
            return
        if piece.kind == "head" and final:
            request.status = piece.head.status
            self._aim("down", piece.head)
        if piece.kind == "body":
            request.down += len(piece.data)
        if piece.kind == "end" and final:
            self._unanswered.popleft()
        if piece.data:
            self._pass(lane, self._flipped(lane, piece))

    def _aim(self, direction: str, head: Head) -> None:
        aimed = [f for f in self.proxy.faults if isinstance(f, Flip) and f.meets(direction, head)]
        self._flip_at[direction] = aimed[0].offset if aimed else None

    def _flipped(self, lane: Lane, piece: Piece) -> memoryview:
        at = self._flip_at[lane.name]
        if piece.kind != "body" or at is None or not piece.offset <= at < piece.offset + len(piece.data):
            return piece.data
        changed = bytearray(piece.data)
        changed[at - piece.offset] ^= 1
        self._flip_at[lane.name] = None
        return memoryview(changed)

    def _asks_nothing(self, head: Head) -> bool:
        return head.length is None and not head.chunked

    def _has_no_body(self, head: Head) -> bool:
        asked = self._unanswered[0].method if self._unanswered else ""
        return asked == "HEAD" or head.status < 200 or head.status in (204, 304)

    def _end(self, lane: Lane) -> None:
        """All has arrived, and no more comes in this direction."""
        with suppress(OSError):
            lane.sink.shutdown(socket.SHUT_WR)
        other = self._lanes[lane.name == "up"]
        if not other.open and other.line.due is None:
            self.close()

    def _finish(self) -> None:
        """Say that no more comes, and leave time to read what did: what was not read makes the end a reset."""
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_WR)
        self.proxy.later(0.3, self.close)

    def _stall(self) -> None:
        self.stalled = True

    def reset(self) -> None:
        """End both connections the hard way."""
        for sock in (self._client, self._server):
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """End both connections; what was passed on still arrives."""
        if not self.closed:
            self.closed = True
            self._watch()
            for sock in (self._client, self._server):
                sock.close()
            self.proxy.gone(self)
