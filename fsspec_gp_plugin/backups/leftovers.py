"""What backups that did not come to their end have left at a target."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ..errors import StorageError, Unreachable
from ..keys import BACKUPS, backup_prefix, is_backup_prefix, timestamp_of
from .deletion import delete_backup
from .plans import plans_of
from .survey import Backup, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..private import Place
    from ..storage.api import ObjectInfo, Store, Upload

_Keyed = TypeVar("_Keyed", "ObjectInfo", "Upload")

BACKUP, UPLOADS, WORKING_FILES = "backup", "uploads", "working files"


@dataclass
class Leftover:
    """One thing to be removed, and whether it may be.

    `what` is BACKUP, UPLOADS or WORKING_FILES below `prefix`; `state` is that of a backup; `count` is how many objects,
    `size` their bytes, as far as told. `started`: when the latest was begun or written, in seconds since 1970, or
    None where nothing tells. `stays`: why it is not to be removed, "" where it is.
    """

    what: str
    prefix: str
    count: int
    size: int | None = None
    state: str = ""
    database: str = ""
    started: float | None = None
    stays: str = ""
    keys: tuple[str, ...] = ()


def find_leftovers(store: Store, begun_before: float, note: Callable[[str], None]) -> list[Leftover]:
    """All of them. What was begun later than `begun_before`, in seconds since 1970, may still be written to, and stays.

    `note` is told what could not be looked for.
    """
    files: list[ObjectInfo] = []
    backups = survey(store, working_files=files)
    try:
        # Elsewhere in the bucket they may be somebody else's.
        uploads = store.find_uploads(BACKUPS)
    except Unreachable:
        raise
    except StorageError as error:
        note(f"unfinished uploads could not be looked for: {error}")
        uploads = []
    # One whose report can't be read may be whole.
    found = [
        _unfinished_backup(backup, uploads, files, begun_before)
        for backup in backups
        if backup.state in ("incomplete", "failed")
    ]
    _spare_needed(store, backups, found)
    whole = {one.prefix for one in found}
    for prefix, group in _by_directory(uploads, whole).items():
        found.append(_judged(Leftover(UPLOADS, prefix, len(group), started=_latest(prefix, uploads)), begun_before))
    for prefix, info in _by_directory(files, whole).items():
        size = sum(one.size for one in info)
        keys = tuple(one.key for one in info)
        written = [_begun(prefix) if one.modified is None else one.modified for one in info]
        started = None if None in written else max(one or 0.0 for one in written)
        left = Leftover(WORKING_FILES, prefix, len(info), size, started=started, keys=keys)
        found.append(_judged(left, begun_before))
    return sorted(found, key=lambda one: (one.prefix, one.what))


def remove(store: Store, place: Place, left: Leftover, note: Callable[[str], None]) -> str:
    """Remove it; returns "" or what the store still keeps of it, as text. StorageError where anything is left.

    `note` is told, as text, what was found on the way.
    """
    if left.what == BACKUP:
        return delete_backup(store, place, timestamp_of(left.prefix), note)[1]
    if left.what == UPLOADS:
        store.delete_unfinished(left.prefix)
    else:
        store.delete(left.keys)
        store.delete_empty_directories(left.prefix)
    return ""


def _unfinished_backup(backup: Backup, uploads: list[Upload], files: list[ObjectInfo], begun_before: float) -> Leftover:
    prefix = backup_prefix(backup.timestamp)
    signs = [(one.key, one.started) for one in uploads] + [(one.key, one.modified) for one in files]
    below = [time for key, time in signs if time is not None and key.startswith(prefix)]
    # What has just been written belongs to a backup that still runs, however long it has.
    started = None if backup.last_sign is None else max([backup.last_sign, *below])
    objects = backup.objects + len(backup.manifests)
    left = Leftover(BACKUP, prefix, objects, backup.size, backup.state, backup.database, started)
    return _judged(left, begun_before)


def _judged(left: Leftover, begun_before: float) -> Leftover:
    if left.started is None:
        left.stays = "nothing tells its age"
    elif left.started >= begun_before:
        left.stays = "too young" if left.state == "failed" else "may still run"
    return left


def _spare_needed(store: Store, backups: list[Backup], found: list[Leftover]) -> None:
    """What a complete incremental backup builds upon stays, whatever is wrong with it."""
    candidates = {timestamp_of(one.prefix): one for one in found if not one.stays}
    if not candidates:
        return
    contents = {backup.timestamp for backup in backups if backup.has_contents}
    for timestamp, plan in plans_of(store, backups).items():
        if plan is not None:
            why, builds_upon = f"{timestamp}, an incremental backup, needs it", plan & candidates.keys()
        else:
            # Without a table of contents it is of no use to another.
            why = f"nothing tells whether {timestamp} needs it"
            builds_upon = frozenset(one for one in candidates if one in contents and one < timestamp)
        for one in builds_upon:
            candidates[one].stays = why


def _by_directory(things: Iterable[_Keyed], besides: set[str]) -> dict[str, list[_Keyed]]:
    """Group what does not lie below one of some prefixes by backup, else by directory."""
    groups: dict[str, list[_Keyed]] = defaultdict(list)
    for one in things:
        prefix = "/".join(one.key.split("/")[:3]) + "/"
        if not is_backup_prefix(prefix):
            prefix = one.key[: one.key.rfind("/") + 1]
        if prefix not in besides:
            groups[prefix].append(one)
    return groups


def _begun(prefix: str) -> float | None:
    return Backup(timestamp_of(prefix)).time if is_backup_prefix(prefix) else None


def _latest(prefix: str, uploads: list[Upload]) -> float | None:
    """When the latest of all below a prefix was begun; where the store does not tell it, its backup's time counts."""
    begun = [
        _begun("/".join(one.key.split("/")[:3]) + "/") if one.started is None else one.started
        for one in uploads
        if one.key.startswith(prefix)
    ]
    known = [one for one in begun if one is not None]
    return max(known) if len(known) == len(begun) else None
