"""A second copy of a backup, at the replica: made, continued, deleted."""

from __future__ import annotations

import os
import time
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .. import keys
from ..backups.deletion import delete_all, remove_unfinished
from ..backups.shards import parse_shard
from ..config.units import format_size
from ..errors import ConfigError, NotFound, StorageError
from ..integrity import underway, verdict
from ..redaction import scrub
from .comparing import compared
from .completeness import require_backup
from .copying import COPIED, SENT, THERE, Copying
from .targets import OUTAGE_SECONDS, SHORT_OUTAGE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..storage.api import ObjectInfo, Store
    from .context import Context

_END = ("toc.yaml", "report")


def replicate_backup(context: Context, timestamp: str, shard: str = "") -> None:
    """Copy what the replica lacks of a backup, each object compared with its manifest; `shard`, I/N, only a part of it.

    What gpbackup takes for the end of a backup, its report and its table of contents, is copied when all else is there.
    """
    prefix = keys.backup_prefix(timestamp)
    part = parse_shard(shard) if shard else (0, 1)
    source, target = context.targets.first(OUTAGE_SECONDS), context.targets.replica(OUTAGE_SECONDS)
    require_backup(context, source, prefix, timestamp)
    started, begun = time.monotonic(), time.time()
    with compared(context, prefix, source) as expected, _under_way(context, source, target, prefix):
        copying = Copying(context, source, target, expected)
        copying.all_of(info for info in _first(source, prefix) if _part(info, part[1]) == part[0])
        if not shard:
            expected.require(source.find(prefix))
            copying.all_of(iter(_last(source, prefix, timestamp)))
            require_backup(context, target, prefix, timestamp)
            listed = list(target.find(prefix, unfinished=True))
            expected.require(listed)
            _require_same(source, listed, prefix)
            _remove_leftovers(context, target, listed, prefix, begun)
    seconds = time.monotonic() - started
    count = copying.count
    what = f"{timestamp}{f' part {shard}' if shard else ''} → {_place(context)}"
    told = (
        f"{count[SENT]} objects sent ({format_size(copying.size)}), {count[COPIED]} copied by the store, "
        f"{count[THERE]} were there"
    )
    context.say(f"{what}: {told}, in {seconds:.1f} s")
    context.done(f"{what}: {told}", copying.size)


def delete_replica(context: Context, timestamp: str) -> None:
    """Delete exactly the replica of that backup. One that is gone already is no error."""
    prefix = keys.backup_prefix(timestamp)
    source, target = context.targets.first(SHORT_OUTAGE_SECONDS), context.targets.replica(SHORT_OUTAGE_SECONDS)
    with _under_way(context, source, target, prefix):
        pass
    count = delete_all(target, prefix, context.log.info)
    context.done(f"{timestamp} at {_place(context)}, {count} objects")


@contextmanager
def _under_way(context: Context, source: Store, target: Store, prefix: str) -> Iterator[None]:
    """A mark at the replica, a sign of life for `cleanup`, and the proof that it is not the first target: one place has
    many names.
    """
    mark = prefix + underway.new_name()
    target.put(mark, memoryview(b"this backup is being copied\n"))
    try:
        try:
            source.stat(mark)
        except NotFound:
            pass
        except StorageError as error:
            context.log.info(f"nothing tells whether the replica is the first target itself: {error}")
        else:
            raise ConfigError("option 'replica_url' is the first target itself, by another name")
        yield
    finally:
        try:
            target.delete([mark])
        except StorageError as error:
            context.log.info(f"{mark} stays at the replica: {error}")


def _ends(name: str, timestamp: str) -> bool:
    return name in {f"gpbackup_{timestamp}_{end}" for end in _END}


def _first(source: Store, prefix: str) -> Iterator[ObjectInfo]:
    """All objects but those that come last."""
    timestamp = keys.timestamp_of(prefix)
    for info in _copied(source, prefix):
        if not _ends(info.key[len(prefix) :], timestamp):
            yield info


def _copied(source: Store, prefix: str) -> Iterator[ObjectInfo]:
    """All objects; what has been found of those at one target says nothing of those at another."""

    def is_of_it(name: str) -> bool:
        return verdict.read(name) is None and underway.read(name) is None

    return (info for info in source.find(prefix) if is_of_it(info.key[len(prefix) :]))


def _last(source: Store, prefix: str, timestamp: str) -> list[ObjectInfo]:
    """The table of contents and the report, in this order."""
    found = [
        info for info in source.find(f"{prefix}gpbackup_{timestamp}_") if _ends(info.key[len(prefix) :], timestamp)
    ]
    if len(found) != len(_END):
        raise NotFound(f"the backup {timestamp} was deleted, or changed, while it was copied")
    return sorted(found, key=lambda info: info.key, reverse=True)


def _require_same(source: Store, listed: list[ObjectInfo], prefix: str) -> None:
    """All that the first target lists is listed by the replica, in its size."""
    sizes = {info.key: info.size for info in listed}
    for info in _copied(source, prefix):
        if sizes.get(info.key) != info.size:
            raise StorageError(
                f"{info.key} was copied, and is not in the replica's listing with its {info.size} bytes; run it again"
            )


def _remove_leftovers(context: Context, target: Store, listed: list[ObjectInfo], prefix: str, begun: float) -> None:
    """What copies that were killed have left, but nothing that another one may be making just now. The marks of others
    are of no use any more: the copy is complete.
    """
    marked = ((info, underway.read(info.key[len(prefix) :])) for info in listed)
    old = [info.key for info, time_of_mark in marked if time_of_mark is not None and time_of_mark < int(begun)]
    old += [
        info.key
        for info in listed
        if keys.is_unfinished(info.key) and info.modified is not None and info.modified < begun
    ]
    target.delete(old)
    uploads = target.find_uploads(prefix)
    if uploads and all(one.started is not None and one.started < begun for one in uploads):
        remove_unfinished(target, prefix, context.log.info)


def _part(info: ObjectInfo, parts: int) -> int:
    return zlib.crc32(os.fsencode(info.key)) % parts


def _place(context: Context) -> str:
    return scrub(context.config.replica.url) if context.config.replica else ""
