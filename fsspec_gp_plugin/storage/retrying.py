"""The one retry policy: what failed because the store was out of reach is done again, for minutes if need be.

It decorates a Store, whose own library then need not repeat anything. Only Unreachable is repeated; every
other error is an answer.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from ..errors import StorageError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .api import ObjectInfo, PartWriter, Store, Upload
    from .failing_reads import FailingRead, Reads
    from .outages import Outages

_T = TypeVar("_T")
_KEYS_A_DELETE = 1000


@dataclass(frozen=True)
class Patience:
    """How long and how often to try again: `outage` seconds from the first failure on, at the most `retries` times.

    Between two attempts passes a random time around `first_pause` seconds, doubled each time up to `longest_pause`.
    `note` is told of each failure that is not the end. `outages`: what other commands of this host know of the target,
    which may make the time shorter.
    """

    outage: float
    retries: int | None = None
    first_pause: float = 0.2
    longest_pause: float = 15.0
    note: Callable[[str], None] = lambda _: None
    outages: Outages | None = None

    def run(self, action: Callable[[], _T], given_up: threading.Event | None = None) -> _T:
        """The action's result, of its first attempt that reaches the store. `given_up` ends the waiting."""
        return Attempts(self, given_up).run(action)


class Attempts:
    """The attempts at one thing. Progress made in between starts the count anew."""

    def __init__(
        self,
        patience: Patience,
        given_up: threading.Event | None = None,
        failing: Callable[[], FailingRead | None] = lambda: None,
    ) -> None:
        """`failing` is called when they are attempts at a read that fails."""
        self._patience = patience
        self._given_up = given_up or threading.Event()
        self._make_failing = failing
        self._failing: FailingRead | None = None
        self._failures = 0
        self._since = 0.0

    def progress(self) -> None:
        """The store was reached."""
        self._failures = 0
        self.end()
        if self._patience.outages is not None:
            self._patience.outages.reached()

    def end(self) -> None:
        """There are no more attempts. Without this what a read that fails has noted on the host stays there."""
        if self._failing is not None:
            self._failing.end()
            self._failing = None

    def run(self, action: Callable[[], _T]) -> _T:
        """Repeat the action until it succeeds, or raise its last error."""
        try:
            while True:
                try:
                    done = action()
                except Unreachable as error:
                    self.failed(error)
                else:
                    self.progress()
                    return done
        finally:
            self.end()

    def failed(self, error: Unreachable) -> None:
        """Wait until another attempt makes sense; raises the error when none does."""
        patience = self._patience
        now = time.monotonic()
        if self._failures == 0:
            self._since = now
            self._failing = self._make_failing()
        limit = self._require_time(error, now)
        if patience.retries is not None and self._failures >= patience.retries:
            raise error
        self._failures += 1
        pause = min(patience.longest_pause, patience.first_pause * 2 ** min(self._failures - 1, 30))
        # Jittered, so that a thousand processes which an outage stopped at once don't come back at once.
        pause *= random.uniform(0.5, 1.5)  # noqa: S311
        if patience.outage > 0:
            pause = min(pause, max(0.1, limit))
        patience.note(f"{error}; trying again in {pause:.1f} s ({self._failures})")
        if self._given_up.wait(pause):
            raise error

    def _require_time(self, error: Unreachable, now: float) -> float:
        """The seconds until the attempts may end; raises the error when they do now."""
        patience, waited = self._patience, now - self._since
        limit, why = patience.outage, ""
        if patience.outages is not None:
            limit, why = patience.outages.limit(limit)
        left = limit - waited
        is_over = self._failures > 0 and left <= 0
        if self._failing is not None:
            self._failing.failed(error.http_status, now)
            if given_up := self._failing.why_given_up(now):
                is_over, why = True, f": {given_up}"
            elif (sooner := self._failing.seconds_left(now)) is not None and sooner > 0:
                left = min(left, sooner)
        if not is_over:
            return left
        if patience.outages is not None and waited >= patience.outage:
            patience.outages.spent(waited)
        raise type(error)(f"{error}; tried {self._failures + 1} times in {waited:.0f} s{why}") from error


class RetryingStore:
    """A store that is patient. Reads go on at their own last byte."""

    def __init__(self, inner: Store, patience: Patience, reads: Reads | None = None) -> None:
        """`inner` does the work. `reads`: what this host finds out by reading the objects of a backup."""
        self.inner = inner
        self.patience = patience
        self._reads = reads
        self._given_up = threading.Event()
        self.capabilities = inner.capabilities

    def __repr__(self) -> str:
        return f"RetryingStore({self.inner!r})"

    def give_up(self) -> None:
        """Repeat nothing any more."""
        self._given_up.set()

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        return self.patience.run(lambda: self.inner.put(key, data), self._given_up)

    def create(self, key: str, data: memoryview) -> ObjectInfo:
        return self.patience.run(lambda: self.inner.create(key, data), self._given_up)

    def begin(self, key: str) -> RetryingWriter:
        return RetryingWriter(self.inner.begin(key), self.patience)

    def stat(self, key: str) -> ObjectInfo:
        return self._attempts(key).run(lambda: self.inner.stat(key))

    def _attempts(self, key: str) -> Attempts:
        """For reading an object."""
        reads = self._reads
        return Attempts(self.patience, self._given_up, lambda: reads.began_to_fail(key) if reads is not None else None)

    def read(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        return self._resumed(info, start, into, iter(()))

    def fetch(self, key: str, into: memoryview) -> tuple[ObjectInfo, Iterator[int]]:
        info, pieces = self._attempts(key).run(lambda: self.inner.fetch(key, into))
        return info, self._resumed(info, 0, into[: info.size], pieces)

    def _resumed(self, info: ObjectInfo, start: int, into: memoryview, pieces: Iterator[int]) -> Iterator[int]:
        attempts = self._attempts(info.key)
        filled = 0
        asked = False
        try:
            while filled < len(into):
                try:
                    before = filled
                    for count in pieces:
                        filled += count
                        attempts.progress()
                        yield count
                    if asked and filled == before:
                        raise StorageError(f"can't read {info.key}: nothing came at byte {start + filled}")
                    asked = True
                    pieces = self.inner.read(info, start + filled, into[filled:])
                except Unreachable as error:
                    attempts.failed(error)
                    pieces, asked = iter(()), False
        finally:
            attempts.end()
        if self._reads is not None:
            self._reads.ended_well(info.key)

    def crc32c(self, info: ObjectInfo) -> int | None:
        return self._attempts(info.key).run(lambda: self.inner.crc32c(info))

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        attempts = Attempts(self.patience)
        seen: set[str] = set()
        while True:
            try:
                for info in self.inner.find(prefix, unfinished=unfinished):
                    if info.key not in seen:
                        attempts.progress()
                        seen.add(info.key)
                        yield info
            except Unreachable as error:
                attempts.failed(error)
            else:
                return

    def delete(self, keys: Iterable[str]) -> None:
        remaining = iter(keys)
        failed: list[str] = []
        while batch := list(islice(remaining, _KEYS_A_DELETE)):
            try:
                self.patience.run(lambda batch=batch: self.inner.delete(batch))  # type: ignore[misc]
            except Unreachable:
                raise
            except StorageError as error:
                failed.append(str(error))
        if failed:
            raise StorageError(failed[0] + (f" (and in {len(failed) - 1} more batches)" if len(failed) > 1 else ""))

    def keeps_versions(self, prefix: str) -> bool:
        return self.patience.run(lambda: self.inner.keeps_versions(prefix))

    def find_uploads(self, prefix: str) -> list[Upload]:
        return self.patience.run(lambda: self.inner.find_uploads(prefix))

    def last_written(self, upload: Upload) -> float | None:
        return self.patience.run(lambda: self.inner.last_written(upload))

    def delete_unfinished(self, prefix: str) -> int:
        return self.patience.run(lambda: self.inner.delete_unfinished(prefix))

    def delete_empty_directories(self, prefix: str) -> None:
        self.patience.run(lambda: self.inner.delete_empty_directories(prefix))

    def close(self) -> None:
        self.give_up()
        self.inner.close()


class RetryingWriter:
    """A writer that is patient: each part is repeated from the buffer that it is in."""

    def __init__(self, inner: PartWriter, patience: Patience) -> None:
        """`inner` does the work."""
        self.inner = inner
        self._patience = patience
        self._given_up = threading.Event()

    def write(self, number: int, data: memoryview) -> None:
        self._patience.run(lambda: self.inner.write(number, data), self._given_up)

    def complete(self, size: int) -> ObjectInfo:
        return self._patience.run(lambda: self.inner.complete(size), self._given_up)

    def abort(self) -> None:
        self._given_up.set()
        # A few times at the most: who aborts has no minutes, and after a signal not even seconds.
        Patience(outage=20.0, retries=4).run(self.inner.abort)
