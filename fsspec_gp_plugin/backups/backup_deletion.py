"""Deletes a backup, or everything below a prefix, and aborts unfinished uploads there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import AccessDenied, LocalFileError, NotFound, StorageError, Unreachable
from ..integrity.claim import is_claim
from ..integrity.object_names import FOLDER, is_manifest, parse_manifest_name
from ..keys import backup_prefix, is_backup_prefix, timestamp_of
from .deletion_progress import DeletionProgress
from .listed_deletion import delete_listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..private import Place
    from ..storage.contract import Store


def delete_backup(
    store: Store,
    place: Place,
    timestamp: str,
    note: Callable[[str], None],
    progress: DeletionProgress | None = None,
) -> tuple[int, str]:
    """Delete one backup, if it is there, and what this host has kept of it.

    Returns how many objects were deleted, and a text about what the store still keeps of them, or "". `note` and
    `progress`: as in delete_all().
    """
    prefix = backup_prefix(timestamp)
    count = delete_all(store, prefix, note, progress)
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


def delete_all(store: Store, prefix: str, note: Callable[[str], None], progress: DeletionProgress | None = None) -> int:
    """Delete all objects and working files below a prefix. Returns how many. Raises StorageError if anything is left.
    Of a backup, the table of contents is deleted first, and the report and then the claims last. After an interruption
    the next call goes on with what is left.

    `note` gets messages about what could not be looked for, and which uploads were aborted. `progress` counts.
    """
    count = _delete_contents(store, prefix) if is_backup_prefix(prefix) else 0
    # Without a table of contents a deletion goes on that was interrupted, and the manifests tell what there was before.
    expected = _count_by_manifests(store, prefix) if count and progress is not None else 0
    progress = progress or DeletionProgress()
    progress.expect(expected)
    before = progress.count
    progress.add(count)
    last: set[str] = set()

    def keeps(key: str) -> bool:
        if _is_report(key) or _is_claim(key):
            last.add(key)
        return key in last

    delete_listed(store, prefix, keeps, progress)
    abort_unfinished(store, prefix, note)
    # Until now a backup has a report and a claim. So after an interruption it is still known that gpbackup has ended,
    # and which cluster owns the backup.
    claims = {key for key in last if _is_claim(key)}
    for keys in filter(None, (last - claims, claims)):
        store.delete(keys)
        progress.add(len(keys))
    if last:
        delete_listed(store, prefix, lambda _: False, progress, frozenset(last))
    store.delete_empty_directories(prefix)
    return progress.count - before


def _count_by_manifests(store: Store, prefix: str) -> int:
    """About how many objects a backup has, by the names of its manifests; 0 if they don't tell."""
    names = []
    try:
        for page in store.list_pages(prefix + FOLDER, shallow=True):
            names += [info.key[len(prefix) :] for info in page.objects]
    except Unreachable:
        raise
    except StorageError:
        return 0
    manifests = [parse_manifest_name(name) for name in names if is_manifest(name)]
    counts = [None if one is None else one.objects for one in manifests]
    return 0 if None in counts else sum(filter(None, counts)) + len(names)


def _is_claim(key: str) -> bool:
    if not key.endswith(".json"):  # as a backup may have millions of objects
        return False
    below = "/".join(key.split("/")[:3]) + "/"
    return is_backup_prefix(below) and is_claim(key[len(below) :])


def _is_report(key: str) -> bool:
    if not key.endswith("_report"):
        return False
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
