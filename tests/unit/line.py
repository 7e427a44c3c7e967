"""A line that several connections share, on a clock of the tests' own, so that hours of sending take no time."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from fsspec_gp_plugin.errors import Unreachable
from fsspec_gp_plugin.storage import link

if TYPE_CHECKING:
    from fsspec_gp_plugin.storage.link import Link
    from tests.unit.clock import Clock


class _Flow:
    """One request on its connection, which breaks after some seconds."""

    def __init__(self, thread: int, size: int, seconds: float) -> None:
        self.thread, self.size, self.seconds = thread, size, seconds
        self.sent = 0.0
        self.ended = threading.Event()


class Line:
    """A line of so many bytes a second, which all connections share, each of which breaks after some seconds."""

    def __init__(self, clock: Clock, rate: int, mean_seconds: float, seed: int) -> None:
        self.breaks = 0
        self._clock = clock
        self._rate = rate
        self._mean = mean_seconds
        self._random = random.Random(seed)
        self._flows: list[_Flow] = []
        # The threads whose connection broke, until they send again.
        self._broken: set[int] = set()
        self.link: Link | None = None
        self._changed = threading.Condition()
        self._closed = False

    def send(self, size: int) -> None:
        """As a request of a part does; returns when all bytes were sent."""
        with self._changed:
            flow = _Flow(threading.get_ident(), size, self._random.expovariate(1 / self._mean))
            self._flows.append(flow)
            self._broken.discard(threading.get_ident())
            self._changed.notify_all()
        flow.ended.wait()
        link.note_sent(int(flow.sent))
        if flow.sent < size:
            raise Unreachable("the connection broke")

    def run(self) -> None:
        """Let time pass, from one event to the next, whenever all who send are here. To be run in a thread."""
        expected = 1
        while True:
            with self._changed:
                # Who is late because this machine is busy must not count as having waited for the store.
                for _ in range(3000):
                    if self._closed or not self._is_waited_for():
                        break
                    self._changed.wait(0.01)
                # Where nobody else comes, as after the last part, it goes on with those that are there.
                self._changed.wait_for(lambda: self._closed or len(self._flows) >= expected, 0.02)
                if self._closed:
                    return
                if expected := len(self._flows):
                    self._pass()

    def _is_waited_for(self) -> bool:
        """Whether somebody has to come who only needs a processor; those that wait for their turn don't count."""
        goes_one_at_a_time = self.link is not None and self.link.carries is not None
        return bool(self._broken) and not (goes_one_at_a_time and self._flows)

    def _pass(self) -> None:
        share = self._rate / len(self._flows)
        seconds = min(min(flow.seconds, (flow.size - flow.sent) / share) for flow in self._flows)
        self._clock.now += seconds
        for flow in list(self._flows):
            flow.seconds -= seconds
            flow.sent = min(flow.size, flow.sent + seconds * share + 1e-6)
            if flow.sent >= flow.size - 1e-3 or flow.seconds <= 0:
                flow.sent = flow.size if flow.sent >= flow.size - 1e-3 else flow.sent
                self._flows.remove(flow)
                if flow.sent < flow.size:
                    self.breaks += 1
                    self._broken.add(flow.thread)
                flow.ended.set()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
