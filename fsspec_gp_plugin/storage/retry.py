"""A store that retries what failed because the store was out of reach, for minutes if need be.

It wraps a Store, whose own library then need not retry anything.
"""

from __future__ import annotations

import threading
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import StorageError, Unreachable
from .contract import PartWriter, Store
from .link import Link
from .retry_policy import Attempts, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .contract import Capabilities, FileStore, ObjectInfo, Page, TransportSecurity, Upload
    from .failing_reads import Reads

_KEYS_A_DELETE = 1000


def with_retries(store: Store, policy: RetryPolicy, reads: Reads | None = None) -> Store:
    """Return the store with retries; a disk as it is, because waiting does not bring it back.

    `reads`: what this host learns by reading the objects of a backup.
    """
    return store if store.files is not None else RetryingStore(store, policy, reads)


def without_retries(store: Store) -> Store:
    """Return the store that does the work, if this one only adds retries to it."""
    return store.inner if isinstance(store, RetryingStore) else store


class RetryingStore(Store):
    """A store with retries. A read goes on at the byte where it failed."""

    def __init__(self, inner: Store, policy: RetryPolicy, reads: Reads | None = None) -> None:
        """`inner` does the work. `reads`: what this host learns by reading the objects of a backup."""
        self.inner = inner
        self.policy = policy
        self._reads = reads
        self._stopped = threading.Event()

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    def __repr__(self) -> str:
        return f"RetryingStore({self.inner!r})"

    def stop_waiting(self) -> None:
        self._stopped.set()
        if self._reads is not None:
            self._reads.close()

    def _attempts(self) -> Attempts:
        return Attempts(self.policy, self._stopped)

    def _attempts_to_read(self, key: str) -> Attempts:
        reads = self._reads
        return Attempts(self.policy, self._stopped, lambda: reads.began_to_fail(key) if reads is not None else None)

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        return self._attempts().run(self.inner.put, key, data)

    def create(self, key: str, data: memoryview) -> ObjectInfo:
        return self._attempts().run(self.inner.create, key, data)

    def begin(self, key: str) -> RetryingWriter:
        writer = self.inner.begin(key)
        writer.report = self.policy.note
        return RetryingWriter(writer, self.policy)

    def stat(self, key: str) -> ObjectInfo:
        return self._attempts_to_read(key).run(self.inner.stat, key)

    def read(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        return self._resumed(info, start, into, iter(()))

    def fetch(self, key: str, into: memoryview) -> tuple[ObjectInfo, Iterator[int]]:
        info, pieces = self._attempts_to_read(key).run(self.inner.fetch, key, into)
        return info, self._resumed(info, 0, into[: info.size], pieces)

    def _resumed(self, info: ObjectInfo, start: int, into: memoryview, pieces: Iterator[int]) -> Iterator[int]:
        attempts = self._attempts_to_read(info.key)
        filled = 0
        has_asked = False
        try:
            while filled < len(into):
                try:
                    before = filled
                    for count in pieces:
                        filled += count
                        attempts.progress()
                        yield count
                    if has_asked and filled == before:
                        raise StorageError(f"can't read {info.key}: nothing came at byte {start + filled}")
                    has_asked = True
                    pieces = self.inner.read(info, start + filled, into[filled:])
                except Unreachable as error:
                    attempts.failed(error)
                    pieces, has_asked = iter(()), False
        finally:
            attempts.end()
        if self._reads is not None:
            self._reads.ended_well(info.key)

    def crc32c(self, info: ObjectInfo) -> int | None:
        return self._attempts_to_read(info.key).run(self.inner.crc32c, info)

    def find_anywhere(self, prefix: str) -> Iterator[ObjectInfo]:
        return self.find(prefix)

    def list_pages(self, prefix: str, *, shallow: bool = False, unfinished: bool = False) -> Iterator[Page]:
        pages = self.inner.list_pages(prefix, shallow=shallow, unfinished=unfinished)
        # One page is retried, not the listing.
        while (page := self._attempts().run(next, pages, None)) is not None:
            yield page

    def delete(self, keys: Iterable[str]) -> None:
        remaining = iter(keys)
        failed: list[str] = []
        while batch := list(islice(remaining, _KEYS_A_DELETE)):
            try:
                self._attempts().run(self.inner.delete, batch)
            except Unreachable:
                raise
            except StorageError as error:
                failed.append(str(error))
        if failed:
            raise StorageError(failed[0] + (f" (and in {len(failed) - 1} more batches)" if len(failed) > 1 else ""))

    def keeps_versions(self, prefix: str) -> bool:
        return self._attempts().run(self.inner.keeps_versions, prefix)

    def find_uploads(self, prefix: str) -> list[Upload]:
        return self._attempts().run(self.inner.find_uploads, prefix)

    def last_written(self, upload: Upload) -> float | None:
        return self._attempts().run(self.inner.last_written, upload)

    def delete_unfinished(self, prefix: str) -> int:
        return self._attempts().run(self.inner.delete_unfinished, prefix)

    def delete_empty_directories(self, prefix: str) -> None:
        self._attempts().run(self.inner.delete_empty_directories, prefix)

    def transport_security(self) -> TransportSecurity | None:
        return self.inner.transport_security()

    @property
    def files(self) -> FileStore | None:
        return self.inner.files

    def copy_from(self, source: Store, info: ObjectInfo, key: str) -> ObjectInfo | None:
        return self._attempts().run(self.inner.copy_from, without_retries(source), info, key)

    def clock_offset(self) -> float | None:
        return self.inner.clock_offset()

    def warm_up(self) -> None:
        self.inner.warm_up()

    def close(self) -> None:
        self.stop_waiting()
        self.inner.close()


class RetryingWriter(PartWriter):
    """A writer with retries: a part is sent again from the buffer that holds it."""

    def __init__(self, inner: PartWriter, policy: RetryPolicy) -> None:
        """`inner` does the work."""
        self.inner = inner
        self._policy = policy
        self._stopped = threading.Event()
        self.link = Link()

    @property
    def part_limit(self) -> int | None:
        return self.link.carries

    def write(self, number: int, data: memoryview) -> None:
        attempts = Attempts(self._policy, self._stopped)

        def send() -> None:
            with self.link.turn():
                attempt = attempts.begin()
                try:
                    self.inner.write(number, data)
                except Unreachable as error:
                    if attempt.broke(error) and (change := self.link.broke(number, attempt.sent)):
                        self._policy.note(f"{error}; {change}")
                    raise
                self.link.arrived(number)

        attempts.run(send)

    def complete(self, size: int) -> ObjectInfo:
        return Attempts(self._policy, self._stopped).run(self.inner.complete, size)

    def abort(self) -> None:
        self._stopped.set()
        self.link.close()
        # A few times only: an abort must end within seconds, above all after a signal.
        policy = RetryPolicy(outage=20.0, retries=4, renew=self._policy.renew)
        Attempts(policy).run(self.inner.abort)
