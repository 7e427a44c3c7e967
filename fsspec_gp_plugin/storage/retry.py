"""A store that does again what failed because it was out of reach, for minutes if need be.

It decorates a Store, whose own library then need not repeat anything.
"""

from __future__ import annotations

import threading
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import StorageError, Unreachable
from .contract import PartWriter, Store
from .link import Link
from .patience import Attempts, Patience

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .contract import Capabilities, FileStore, ObjectInfo, Upload, Way
    from .failing_reads import Reads

_KEYS_A_DELETE = 1000


def bare(store: Store) -> Store:
    """The store that does the work, where this one makes it patient."""
    return store.inner if isinstance(store, RetryingStore) else store


class RetryingStore(Store):
    """A store that is patient. Reads go on at their own last byte."""

    def __init__(self, inner: Store, patience: Patience, reads: Reads | None = None) -> None:
        """`inner` does the work. `reads`: what this host finds out by reading the objects of a backup."""
        self.inner = inner
        self.patience = patience
        self._reads = reads
        self._given_up = threading.Event()

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    def __repr__(self) -> str:
        return f"RetryingStore({self.inner!r})"

    def stop_waiting(self) -> None:
        self._given_up.set()
        if self._reads is not None:
            self._reads.close()

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        return self.patience.run(lambda: self.inner.put(key, data), self._given_up)

    def create(self, key: str, data: memoryview) -> ObjectInfo:
        return self.patience.run(lambda: self.inner.create(key, data), self._given_up)

    def begin(self, key: str) -> RetryingWriter:
        writer = self.inner.begin(key)
        writer.report = self.patience.note
        return RetryingWriter(writer, self.patience)

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

    def find_anywhere(self, prefix: str) -> Iterator[ObjectInfo]:
        return self.find(prefix)

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        attempts = Attempts(self.patience, self._given_up)
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
                attempts.progress()
                return

    def delete(self, keys: Iterable[str]) -> None:
        remaining = iter(keys)
        failed: list[str] = []
        while batch := list(islice(remaining, _KEYS_A_DELETE)):
            try:
                self.patience.run(lambda batch=batch: self.inner.delete(batch), self._given_up)  # type: ignore[misc]
            except Unreachable:
                raise
            except StorageError as error:
                failed.append(str(error))
        if failed:
            raise StorageError(failed[0] + (f" (and in {len(failed) - 1} more batches)" if len(failed) > 1 else ""))

    def keeps_versions(self, prefix: str) -> bool:
        return self.patience.run(lambda: self.inner.keeps_versions(prefix), self._given_up)

    def find_uploads(self, prefix: str) -> list[Upload]:
        return self.patience.run(lambda: self.inner.find_uploads(prefix), self._given_up)

    def last_written(self, upload: Upload) -> float | None:
        return self.patience.run(lambda: self.inner.last_written(upload), self._given_up)

    def delete_unfinished(self, prefix: str) -> int:
        return self.patience.run(lambda: self.inner.delete_unfinished(prefix), self._given_up)

    def delete_empty_directories(self, prefix: str) -> None:
        self.patience.run(lambda: self.inner.delete_empty_directories(prefix), self._given_up)

    def way(self) -> Way | None:
        return self.inner.way()

    @property
    def files(self) -> FileStore | None:
        return self.inner.files

    def copy_from(self, source: Store, info: ObjectInfo, key: str) -> ObjectInfo | None:
        return self.patience.run(lambda: self.inner.copy_from(bare(source), info, key), self._given_up)

    def clock_offset(self) -> float | None:
        return self.inner.clock_offset()

    def warm_up(self) -> None:
        self.inner.warm_up()

    def close(self) -> None:
        self.stop_waiting()
        self.inner.close()


class RetryingWriter(PartWriter):
    """A writer that is patient: each part is repeated from the buffer that it is in."""

    def __init__(self, inner: PartWriter, patience: Patience) -> None:
        """`inner` does the work."""
        self.inner = inner
        self._patience = patience
        self._given_up = threading.Event()
        self.link = Link()

    @property
    def part_limit(self) -> int | None:
        return self.link.carries

    def write(self, number: int, data: memoryview) -> None:
        attempts = Attempts(self._patience, self._given_up)

        def send() -> None:
            with self.link.turn():
                attempt = attempts.begin()
                try:
                    self.inner.write(number, data)
                except Unreachable as error:
                    if attempt.broke(error) and (told := self.link.broke(number, attempt.sent)):
                        self._patience.note(f"{error}; {told}")
                    raise
                self.link.arrived(number)

        attempts.run(send)

    def complete(self, size: int) -> ObjectInfo:
        return self._patience.run(lambda: self.inner.complete(size), self._given_up)

    def abort(self) -> None:
        self._given_up.set()
        self.link.close()
        # A few times at the most: who aborts has no minutes, and after a signal not even seconds.
        Patience(outage=20.0, retries=4, renew=self._patience.renew).run(self.inner.abort)
