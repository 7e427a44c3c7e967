"""Deletes a backup, or everything below a prefix, and aborts unfinished uploads there."""

from __future__ import annotations

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
    """Delete one backup, if it is there, and what this host has kept of it.

    Returns how many objects were deleted, and a text about what the store still keeps of them, or "". `note` gets
    messages, as in delete_all().
    """
    prefix = backup_prefix(timestamp)
    count = delete_all(store, prefix, note)
    _remove_state(place, timestamp, note)
    try:
        kept = store.keeps_versions(prefix)
    except StorageError as error:
        note(f"it is unknown whether versions of {timestamp} are retained: {error}")
        kept = False
    if not kept:
        return count, ""
    return count, "the store retains versions of its objects (versioning, object lock or a retention rule)"


def _remove_state(place: Place, timestamp: str, note: Callable[[str], None]) -> None:
    from ..integrity import run_state
    from ..integrity.catalog_files import remove_catalogs
    from ..integrity.journal import Journal

    try:
        with Journal(place, timestamp) as journal:
            journal.remove(whole=True)
        remove_catalogs(place, timestamp)
        run_state.remove_run(place, timestamp)
    except LocalFileError as error:
        note(str(error))


def delete_all(store: Store, prefix: str, note: Callable[[str], None]) -> int:
    """Delete all objects and working files below a prefix. Returns how many. Raises StorageError if anything is left.
    Of a backup, the table of contents is deleted first, and the report and then the claims last.

    `note` gets messages about what could not be looked for, and which uploads were aborted.
    """
    count = _delete_contents(store, prefix) if is_backup_prefix(prefix) else 0
    last: set[str] = set()
    count += _delete_listed(store, prefix, last)
    abort_unfinished(store, prefix, note)
    # Until now a backup has a report and a claim. So after an interruption it is still known that gpbackup has ended,
    # and which cluster owns the backup.
    claims = {key for key in last if _is_claim(key)}
    for keys in filter(None, (last - claims, claims)):
        store.delete(keys)
    if last:
        count += len(last) + _delete_listed(store, prefix, None)
    store.delete_empty_directories(prefix)
    return count


def _delete_listed(store: Store, prefix: str, last: set[str] | None) -> int:
    """Delete what is listed until nothing is listed. Reports and claims stay if `last` is given, which gets them."""
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
    """The keys of one listing in batches, as a backup may have millions of objects. Only the first batch, as later
    pages of a listing may skip keys after a deletion; but all batches if the store lists whole directories.
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


def _delete_contents(store: Store, prefix: str) -> int:
    """Delete a backup's table of contents, before everything else: if the deletion is interrupted, the rest is an
    incomplete backup, and if nothing can be deleted, the backup is still whole. Returns how many objects were deleted.
    """
    key = f"{prefix}gpbackup_{timestamp_of(prefix)}_toc.yaml"
    try:
        store.stat(key)
    except NotFound:
        return 0
    except AccessDenied:
        pass  # credentials that may not read may still delete
    store.delete([key])
    return 1


def abort_unfinished(store: Store, prefix: str, note: Callable[[str], None]) -> None:
    """Abort uploads that killed processes left below a prefix, as far as store and credentials allow it."""
    try:
        count = store.delete_unfinished(prefix)
    except Unreachable:
        raise
    except StorageError as error:
        note(f"unfinished uploads below {prefix} could not be looked for: {error}")
    else:
        if count:
            note(f"{count} unfinished uploads below {prefix} aborted")
