"""Deletes what is listed below a prefix, in batches, while the listing goes on."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING

from ..errors import StorageError
from ..workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..storage.contract import Store
    from .deletion_progress import DeletionProgress

# As many as one request for a bulk deletion takes.
_KEYS_A_BATCH = 1000
# A batch is one request or, where a store has none for it, its deletions go eight at a time.
_BATCHES_AT_ONCE = 4


def delete_listed(
    store: Store,
    prefix: str,
    keeps: Callable[[str], bool],
    progress: DeletionProgress,
    before: frozenset[str] = frozenset(),
) -> None:
    """Delete what is listed, and list again, until nothing is listed but what stays: some stores skip keys in the
    later pages of a listing after a deletion. `keeps` says whether a key stays.

    Raises StorageError if a key is listed that was deleted before, as the keys in `before` were: the store retains it.
    """
    # The keys of one batch of each listing are enough: either one of them is still there, or fewer are left.
    while before := _delete_once(store, prefix, keeps, progress, before):
        pass


def _delete_once(
    store: Store, prefix: str, keeps: Callable[[str], bool], progress: DeletionProgress, before: frozenset[str]
) -> frozenset[str]:
    """Delete what one listing shows. Returns the keys of its first batch, none if there was nothing to delete."""
    first: frozenset[str] = frozenset()
    with _Deletions(store, progress) as deletions:
        for batch in _batches(store, prefix, keeps):
            if left := before.intersection(batch):
                raise StorageError(f"{min(left)} is still there after it was deleted: the store retains it")
            first = first or frozenset(batch)
            deletions.start(batch)
    return first


def _batches(store: Store, prefix: str, keeps: Callable[[str], bool]) -> Iterator[list[str]]:
    batch: list[str] = []
    for page in store.list_pages(prefix, unfinished=True):
        batch += [info.key for info in page.objects if not keeps(info.key)]
        while len(batch) >= _KEYS_A_BATCH:
            yield batch[:_KEYS_A_BATCH]
            del batch[:_KEYS_A_BATCH]
    if batch:
        yield batch


class _Deletions:
    """Deletions of batches, several at once on an object store. At the end of the context all have ended."""

    def __init__(self, store: Store, progress: DeletionProgress) -> None:
        self._store, self._progress = store, progress
        self._running: dict[Future[None], int] = {}
        # A filesystem deletes side by side itself, if it gains by it.
        self._pool = Workers(_BATCHES_AT_ONCE, "deletion") if store.capabilities.lists_by_prefix else None

    def __enter__(self) -> _Deletions:
        return self

    def start(self, batch: list[str]) -> None:
        """Delete a batch, maybe later than this returns. Raises what an earlier one has failed with."""
        if self._pool is None:
            self._store.delete(batch)
            self._progress.add(len(batch))
            return
        # No more of them wait than can run, so that a listing that is faster takes no memory.
        self._end_some(_BATCHES_AT_ONCE - 1)
        self._running[self._pool.submit(self._store.delete, batch)] = len(batch)

    def _end_some(self, most: int) -> None:
        """Wait until at most so many run."""
        while len(self._running) > most:
            wait(self._running, return_when=FIRST_COMPLETED)
            for one in [one for one in self._running if one.done()]:
                count = self._running.pop(one)
                one.result()
                self._progress.add(count)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is None:
            return
        try:
            if kind is None:
                self._end_some(0)
        except StorageError:
            kind = StorageError
            raise
        finally:
            # After a failure the caller may begin again, so all must have ended; a signal must not wait.
            self._pool.shutdown(wait=kind is None or issubclass(kind, StorageError), cancel_futures=True)
