"""A second copy of a backup, at the replica: made, continued, deleted."""

from __future__ import annotations

import os
import time
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import keys
from ..backups.deletion import delete_all, remove_unfinished
from ..backups.parallel import each
from ..backups.shards import parse_shard
from ..config.units import format_size
from ..errors import NotFound, StorageError
from ..integrity import verdict
from ..storage.copying import copied_within
from .comparing import compared
from .completeness import require_backup
from .targets import OUTAGE_SECONDS, SHORT_OUTAGE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..storage.api import ObjectInfo, Store
    from ..transfer.download import DownloadSettings
    from ..transfer.upload import UploadSettings
    from .context import Context

# Objects at a time, each with a stream down and one up: within the memory of one stream.
_AT_ONCE = 4
_SENT, _COPIED, _THERE = "sent", "copied", "there"


def replicate_backup(context: Context, timestamp: str, shard: str = "") -> None:
    """Copy what the replica lacks of a backup, each object compared with its manifest; `shard`, I/N, only a part of it.

    What gpbackup takes for the end of a backup, its report and its table of contents, is copied when all else is there.
    """
    prefix = keys.backup_prefix(timestamp)
    part = parse_shard(shard) if shard else (0, 1)
    source, target = context.targets.first(OUTAGE_SECONDS), context.targets.replica(OUTAGE_SECONDS)
    require_backup(context, source, prefix, timestamp)
    started = time.monotonic()
    with compared(context, prefix, source) as expected:
        copying = _Copying(context, source, target, expected)
        copying.all_of(info for info in _first(source, prefix) if _part(info, part[1]) == part[0])
        if not shard:
            copying.all_of(iter(_last(source, prefix, timestamp)))
            remove_unfinished(target, prefix, context.log.info)
            _require_same(source, target, prefix)
    seconds = time.monotonic() - started
    count = copying.count
    what = f"{timestamp}{f' part {shard}' if shard else ''} → {_place(context)}"
    told = (
        f"{count[_SENT]} objects sent ({format_size(copying.size)}), {count[_COPIED]} copied by the store, "
        f"{count[_THERE]} were there"
    )
    context.say(f"{what}: {told}, in {seconds:.1f} s")
    context.done(f"{what}: {told}", copying.size)


def delete_replica(context: Context, timestamp: str) -> None:
    """Delete exactly the replica of that backup. One that is gone already is no error."""
    prefix = keys.backup_prefix(timestamp)
    count = delete_all(context.targets.replica(SHORT_OUTAGE_SECONDS), prefix, context.log.info)
    context.done(f"{timestamp} at {_place(context)}, {count} objects")


class _Copying:
    """Objects on their way from the first target to the replica."""

    def __init__(
        self, context: Context, source: Store, target: Store, expected: Callable[[str], ObjectInfo | None]
    ) -> None:
        self.count = {_SENT: 0, _COPIED: 0, _THERE: 0}
        self.size = 0
        self._context = context
        self._source = source
        self._target = target
        self._expected = expected
        self._settings = _share(context.download_settings, context.upload_settings)

    def all_of(self, wanted: Iterator[ObjectInfo]) -> None:
        """Copy them; raises the first failure when all others were tried."""
        failed: list[Exception] = []
        for info, done in each(self._copy, wanted, _AT_ONCE):
            if isinstance(done, Exception):
                self._context.log.error(f"{info.key} could not be copied: {done}")
                failed.append(done)
                continue
            self.count[done] += 1
            self.size += info.size if done == _SENT else 0
        if failed:
            more = f" (and {len(failed) - 1} more objects; the log names them)" if len(failed) > 1 else ""
            raise StorageError(f"{failed[0]}{more}; what was copied stays, and is not sent again")

    def _copy(self, info: ObjectInfo) -> str:
        wanted = self._expected(info.key)
        if wanted is not None and wanted.size != info.size:
            raise StorageError(f"{info.key} has {info.size} bytes; {wanted.size} were backed up, says its manifest")
        if self._is_there(info, wanted):
            return _THERE
        if self._is_copied_within(info, wanted):
            return _COPIED
        self._context.relay(self._source, self._target, info.key, self._settings, wanted)
        return _SENT

    def _is_there(self, info: ObjectInfo, wanted: ObjectInfo | None) -> bool:
        """Whether the replica has it, size and checksum."""
        try:
            found = self._target.stat(info.key)
        except NotFound:
            return False
        return found.size == info.size and self._is_same(found, wanted)

    def _is_copied_within(self, info: ObjectInfo, wanted: ObjectInfo | None) -> bool:
        try:
            copy = copied_within(self._source, self._target, wanted or info, info.key)
        except StorageError as error:
            self._context.log.verbose(f"{info.key} is sent, as the store does not copy it: {error}")
            return False
        if copy is None:
            return False
        if not self._is_same(copy, wanted):
            raise StorageError(f"{info.key}: its copy, made by the store, is not what was backed up")
        return True

    def _is_same(self, found: ObjectInfo, wanted: ObjectInfo | None) -> bool:
        """Whether an object of the replica has the checksum that the manifest says, asked of the store where it keeps
        one, else read.
        """
        if wanted is None or wanted.crc32c is None:
            return True
        if found.crc32c is not None:
            return found.crc32c == wanted.crc32c
        sink = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            self._context.download(self._target, sink, self._settings[0]).whole(found.key, wanted)
        except StorageError as error:
            if self._target.stat(found.key).version != found.version:
                raise
            self._context.log.info(f"{found.key} is not at the replica as it was backed up: {error}")
            return False
        finally:
            os.close(sink)
        return True


def _share(reading: DownloadSettings, writing: UploadSettings) -> tuple[DownloadSettings, UploadSettings]:
    """The settings of one of several objects."""
    return (
        replace(reading, concurrency=min(2, reading.concurrency), memory_limit=reading.memory_limit // _AT_ONCE),
        replace(writing, concurrency=min(2, writing.concurrency), memory_limit=writing.memory_limit // _AT_ONCE),
    )


def _ends(name: str, timestamp: str) -> bool:
    return name in (f"gpbackup_{timestamp}_toc.yaml", f"gpbackup_{timestamp}_report")


def _first(source: Store, prefix: str) -> Iterator[ObjectInfo]:
    """All objects but those that come last."""
    timestamp = keys.timestamp_of(prefix)
    for info in _copied(source, prefix):
        if not _ends(info.key[len(prefix) :], timestamp):
            yield info


def _copied(source: Store, prefix: str) -> Iterator[ObjectInfo]:
    """All objects; what has been found of those at one target says nothing of those at another."""
    return (info for info in source.find(prefix) if verdict.read(info.key[len(prefix) :]) is None)


def _last(source: Store, prefix: str, timestamp: str) -> list[ObjectInfo]:
    """The table of contents and the report, in this order."""
    found = [
        info for info in source.find(f"{prefix}gpbackup_{timestamp}_") if _ends(info.key[len(prefix) :], timestamp)
    ]
    return sorted(found, key=lambda info: info.key, reverse=True)


def _require_same(source: Store, target: Store, prefix: str) -> None:
    """All that the first target lists is listed by the replica, in its size."""
    listed = {info.key: info.size for info in target.find(prefix)}
    for info in _copied(source, prefix):
        if listed.get(info.key) != info.size:
            raise StorageError(
                f"{info.key} was copied, and is not in the replica's listing with its {info.size} bytes; run it again"
            )


def _part(info: ObjectInfo, parts: int) -> int:
    return zlib.crc32(os.fsencode(info.key)) % parts


def _place(context: Context) -> str:
    return context.config.replica.url if context.config.replica else ""
