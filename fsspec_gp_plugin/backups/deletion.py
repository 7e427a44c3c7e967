"""Deleting a backup, or everything below a prefix, and taking back what was never finished there."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import AccessDenied, LocalFileError, NotFound, StorageError, Unreachable
from ..integrity.claim import is_claim
from ..keys import backup_prefix, is_backup_prefix, timestamp_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..private import Place
    from ..storage.contract import Store

_DELETED_AT_ONCE = 10_000


def delete_backup(store: Store, place: Place, timestamp: str, note: Callable[[str], None]) -> tuple[int, str]:
    """Delete one backup, and what this host remembers of it. One that is gone already is no error.

    Returns how many objects were deleted, and "" or what the store still keeps of them, as text. `note` as below.
    """
    prefix = backup_prefix(timestamp)
    count = delete_all(store, prefix, note)
    _forget(place, timestamp, note)
    try:
        kept = store.keeps_versions(prefix)
    except StorageError as error:
        note(f"nothing tells whether versions of {timestamp} are retained: {error}")
        kept = False
    if not kept:
        return count, ""
    return count, "the store retains versions of its objects (versioning, object lock or a retention rule)"


def _forget(place: Place, timestamp: str, note: Callable[[str], None]) -> None:
    from ..integrity import runs
    from ..integrity.catalog import Catalog
    from ..integrity.catalog_users import forget_fetched
    from ..integrity.journal import Journal
    from ..private import NoDirectoryError

    try:
        with Journal(place, timestamp) as journal:
            journal.discard(whole=True)
        with suppress(NoDirectoryError), Catalog(place, timestamp) as catalog:
            catalog.remove()
        forget_fetched(place, timestamp)
        runs.forget(place, timestamp)
    except LocalFileError as error:
        note(str(error))


def delete_all(store: Store, prefix: str, note: Callable[[str], None]) -> int:
    """Delete all objects and working files below a prefix; returns how many. Fails if anything is left. Of a backup the
    table of contents goes first, the report and then the claims last.

    `note` is told, as text, what could not be looked for and what was taken back.
    """
    count = _withdraw(store, prefix) if is_backup_prefix(prefix) else 0
    last: set[str] = set()
    count += _delete_found(store, prefix, last)
    remove_unfinished(store, prefix, note)
    # Until here a backup has a report and a claim: what an interruption leaves still says that gpbackup has ended, and
    # whose it is.
    claims = {key for key in last if _is_claim(key)}
    for keys in filter(None, (last - claims, claims)):
        store.delete(keys)
    if last:
        count += len(last) + _delete_found(store, prefix, None)
    store.delete_empty_directories(prefix)
    return count


def _delete_found(store: Store, prefix: str, last: set[str] | None) -> int:
    """Delete what listings tell until they tell nothing. Reports and claims are put into a given set, and stay."""
    count = 0
    before: set[str] = set()
    # Each listing begins anew, so that nothing is skipped.
    while True:
        first: set[str] = set()
        for batch in _batches(store, prefix, last):
            left = before & batch
            if left:
                raise StorageError(f"{min(left)} is still there after it was deleted: the store retains it")
            store.delete(batch)
            count += len(batch)
            first = first or batch
        if not first:
            return count
        before = first


def _batches(store: Store, prefix: str, last: set[str] | None) -> Iterator[set[str]]:
    """Of one listing: a backup may have millions of objects. The first alone, as pages that follow may skip what moves
    up to the place of what was deleted; but all of them where a listing reads whole directories, each time anew.
    """
    found = _found(store, prefix, last)
    while batch := set(islice(found, _DELETED_AT_ONCE)):
        yield batch
        if store.capabilities.lists_by_prefix:
            return


def _found(store: Store, prefix: str, last: set[str] | None) -> Iterator[str]:
    for info in store.find(prefix, unfinished=True):
        if last is not None and (_is_claim(info.key) or _is_report(info.key)):
            last.add(info.key)
        else:
            yield info.key


def _is_claim(key: str) -> bool:
    below = "/".join(key.split("/")[:3]) + "/"
    return is_backup_prefix(below) and is_claim(key[len(below) :])


def _is_report(key: str) -> bool:
    below = "/".join(key.split("/")[:3]) + "/"
    return is_backup_prefix(below) and key == f"{below}gpbackup_{timestamp_of(below)}_report"


def _withdraw(store: Store, prefix: str) -> int:
    """Delete a backup's table of contents, before all else: what is left of it if this is interrupted is an incomplete
    backup to everybody, and what can't be deleted is still whole. Returns whether it was there.
    """
    key = f"{prefix}gpbackup_{timestamp_of(prefix)}_toc.yaml"
    try:
        store.stat(key)
    except NotFound:
        return 0
    except AccessDenied:
        pass  # who may not read may delete
    store.delete([key])
    return 1


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
