"""Deleting everything below a prefix, and taking back what was never finished there."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from ..errors import StorageError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..storage.api import Store

_DELETED_AT_ONCE = 10_000


def delete_all(store: Store, prefix: str, note: Callable[[str], None]) -> int:
    """Delete all objects and working files below a prefix; returns how many. Fails if anything is left.

    `note` is told, as text, what could not be looked for and what was taken back.
    """
    count = 0
    before: set[str] = set()
    # A batch at a time: a backup may have millions of objects. Each listing begins anew, so that none is skipped.
    while batch := {info.key for info in islice(store.find(prefix, unfinished=True), _DELETED_AT_ONCE)}:
        left = before & batch
        if left:
            raise StorageError(f"{min(left)} is still there after it was deleted: the store retains it")
        store.delete(batch)
        count += len(batch)
        before = batch
    remove_unfinished(store, prefix, note)
    store.delete_empty_directories(prefix)
    return count


def remove_unfinished(store: Store, prefix: str, note: Callable[[str], None]) -> None:
    """Take back what killed processes left below a prefix, as far as store and credentials allow it."""
    try:
        count = store.delete_unfinished(prefix)
    except Unreachable:
        raise
    except StorageError as error:
        note(f"unfinished uploads below {prefix} could not be looked for: {error}")
    else:
        if count:
            note(f"{count} unfinished uploads below {prefix} removed")
