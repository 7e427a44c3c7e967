"""Makes, continues and deletes the copy of a backup at the replica."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from .. import keys
from ..backups.backup_deletion import abort_unfinished, delete_all
from ..backups.parallel import parse_shard
from ..backups.replica_checks import check_targets_differ, copy_claim, objects_to_copy, require_same_claim
from ..config.values import format_size
from ..errors import NotFound, StorageError, Unreachable
from ..integrity import listings, marks
from ..redaction import scrub
from .comparing import compare_with_manifests
from .presence import require_backup
from .replica_copy import COPIED, SENT, THERE, ReplicaCopy, Wanted
from .replica_shards import END, first_objects, is_end, objects_of_shard
from .targets import OUTAGE_SECONDS
from .watched_deletion import telling_progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..integrity.claim import Claim
    from ..integrity.listings import Listing
    from ..storage.contract import ObjectInfo, Store, Upload
    from .comparing import Expectations
    from .context import Context


def replicate_backup(context: Context, timestamp: str, shard: str = "") -> None:
    """Copy what the replica lacks of a backup, each object compared with its manifest; `shard`, I/N, only a part of it.

    The claim is copied first. What gpbackup takes for the end of a backup, its report and its table of contents, is
    copied when all else is there.
    """
    prefix = keys.backup_prefix(timestamp)
    part = parse_shard(shard) if shard else None
    source, target = context.targets.primary(OUTAGE_SECONDS), context.targets.replica(OUTAGE_SECONDS)
    require_backup(context, source, prefix, timestamp)
    claim = require_same_claim(source, target, prefix)
    started, begun = time.monotonic(), time.time()
    copying = ReplicaCopy(context, source, target)
    if part is not None:
        with (
            _under_way(context, source, target, prefix, claim),
            closing(objects_of_shard(context, source, prefix, part)) as wanted,
        ):
            copying.all_of(wanted)
    else:
        with (
            compare_with_manifests(context, prefix, source) as expected,
            _under_way(context, source, target, prefix, claim),
        ):
            aside = _copy_whole(context, copying, expected, source, target, prefix)
            _remove_leftovers(context, target, aside, prefix, begun)
    seconds = time.monotonic() - started
    count = copying.count
    what = f"{timestamp}{f' part {shard}' if shard else ''} → {_place(context)}"
    summary = (
        f"{count[SENT]} objects sent ({format_size(copying.size)}), {count[COPIED]} copied by the store, "
        f"{count[THERE]} were there"
    )
    context.print_line(f"{what}: {summary}, in {seconds:.1f} s")
    context.log_success(f"{what}: {summary}", copying.size)


def _copy_whole(
    context: Context, copying: ReplicaCopy, expected: Expectations, source: Store, target: Store, prefix: str
) -> list[ObjectInfo]:
    """Copy all that the replica lacks, the end of the backup last, and compare the listings of both targets. Return
    what other copies have left at the replica.
    """
    timestamp = keys.timestamp_of(prefix)

    def compared(objects: Iterable[ObjectInfo]) -> Iterator[Wanted]:
        return (Wanted(info, expected.of(info.key)) for info in objects)

    copying.all_of(compared(first_objects(source.find(prefix), prefix)))
    expected.require(source.find(prefix))
    copying.all_of(compared(_last(source, prefix, timestamp)))
    require_backup(context, target, prefix, timestamp)
    aside: list[ObjectInfo] = []
    with listings.store_listing(_collect_leftovers(target.find(prefix, unfinished=True), prefix, aside)) as listed:
        expected.require(listed.objects())
        _require_same(source, listed, prefix)
    return aside


def delete_replica(context: Context, timestamp: str) -> None:
    """Delete exactly the replica of that backup, which is proven to be a copy: the first target, another place, holds
    the backup whole. One that is gone already is no error.
    """
    prefix = keys.backup_prefix(timestamp)
    source, target = context.targets.primary(), context.targets.replica()
    count = 0
    if _holds_anything(target, prefix):
        _require_copy(context, source, target, prefix)
        with telling_progress(context, timestamp) as progress:
            count = delete_all(target, prefix, context.log.info, progress)
    context.log_success(f"{timestamp} at {_place(context)}, {count} objects")


def _holds_anything(target: Store, prefix: str) -> bool:
    return any(True for _ in target.find(prefix, unfinished=True)) or bool(_uploads(target, prefix))


def _uploads(target: Store, prefix: str) -> list[Upload]:
    """Return the uploads below the prefix; none if the credentials may not list them."""
    try:
        return target.find_uploads(prefix)
    except Unreachable:
        raise
    except StorageError:
        return []


def _require_copy(context: Context, source: Store, target: Store, prefix: str) -> None:
    """StorageError where nothing proves that the first target, another place, holds all that the replica holds of a
    backup; ConfigError where it is the same place.
    """
    timestamp = keys.timestamp_of(prefix)
    try:
        require_backup(context, source, prefix, timestamp)
        require_same_claim(source, target, prefix)
        with check_targets_differ(source, target, prefix, context.log.info) as doubt:
            if doubt:
                raise doubt
            there = (info for info in target.find(prefix) if not info.key.endswith("/"))
            with listings.store_listing(source.find(prefix)) as at_first:
                if info := at_first.find_missing(objects_to_copy(there, prefix)):
                    raise StorageError(f"the first target does not hold {info.key} with its {info.size} bytes")
    except StorageError as error:
        kind = Unreachable if isinstance(error, Unreachable) else StorageError
        raise kind(
            f"nothing was deleted, as nothing proves that the first target is another place and holds all of "
            f"{timestamp}: {error}; run it when the first target can be read and written, or delete the last copy by "
            "`delete_backup` with a configuration whose `url` is the replica"
        ) from error


@contextmanager
def _under_way(
    context: Context, source: Store, target: Store, prefix: str, claim: tuple[ObjectInfo, Claim] | None
) -> Iterator[None]:
    """Copy the claim first. Until the end of the context a mark at the replica is a sign of life for `cleanup`.
    ConfigError where the replica is the first target itself; where nothing proves that it is another place, a copy does
    no harm.
    """
    with check_targets_differ(source, target, prefix, context.log.info) as doubt:
        if doubt:
            context.log.info(f"nothing proves that the replica is another place than the first target: {doubt}")
        if claim is not None:
            copy_claim(source, target, prefix, claim)
        yield


def _last(source: Store, prefix: str, timestamp: str) -> list[ObjectInfo]:
    """Return the table of contents and the report, in this order."""
    found = [
        info for info in source.find(f"{prefix}gpbackup_{timestamp}_") if is_end(info.key[len(prefix) :], timestamp)
    ]
    if len(found) != len(END):
        raise NotFound(f"the backup {timestamp} was deleted, or changed, while it was copied")
    return sorted(found, key=lambda info: info.key, reverse=True)


def _collect_leftovers(objects: Iterable[ObjectInfo], prefix: str, aside: list[ObjectInfo]) -> Iterator[ObjectInfo]:
    """Yield the objects without the marks and working files of copies, which go to `aside`."""
    for info in objects:
        if marks.parse_copy_mark(info.key[len(prefix) :]) is not None or keys.is_unfinished(info.key):
            aside.append(info)
        yield info


def _require_same(source: Store, listed: Listing, prefix: str) -> None:
    """Raise StorageError unless the replica lists everything that the primary lists, with the same sizes."""
    if info := listed.find_missing(objects_to_copy(source.find(prefix), prefix)):
        raise StorageError(
            f"{info.key} was copied, and is not in the replica's listing with its {info.size} bytes; run it again"
        )


def _remove_leftovers(context: Context, target: Store, aside: list[ObjectInfo], prefix: str, begun: float) -> None:
    """Remove marks and working files that copies which were killed have left, but nothing that another one may be
    making just now. The marks of others are of no use any more: the copy is complete.
    """
    marked = ((info, marks.parse_copy_mark(info.key[len(prefix) :])) for info in aside)
    old = [info.key for info, time_of_mark in marked if time_of_mark is not None and time_of_mark < int(begun)]
    old += [
        info.key
        for info in aside
        if keys.is_unfinished(info.key) and info.modified is not None and info.modified < begun
    ]
    target.delete(old)
    uploads = _uploads(target, prefix)
    if uploads and all(one.started is not None and one.started < begun for one in uploads):
        abort_unfinished(target, prefix, context.log.info)


def _place(context: Context) -> str:
    return scrub(context.config.replica.url) if context.config.replica else ""
