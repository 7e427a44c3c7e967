"""Copies the objects of a backup from the primary to the replica."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ..backups.parallel import run_each
from ..errors import NotFound, PluginError, StorageError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..storage.contract import ObjectInfo, Store
    from ..transfer.download import DownloadSettings
    from ..transfer.upload import UploadSettings
    from .context import Context

# Objects at a time, each with a stream down and one up: within the memory of one stream.
_AT_ONCE = 4
_LARGE = 8 << 30
_PARTS = 9000
SENT, COPIED, THERE = "sent", "copied", "there"


class Wanted(NamedTuple):
    """An object to copy, and what the manifests say about it, None if nothing."""

    info: ObjectInfo
    backed_up: ObjectInfo | None = None


class ReplicaCopy:
    """One copy of a backup from the primary to the replica."""

    def __init__(self, context: Context, source: Store, target: Store) -> None:
        self.count = {SENT: 0, COPIED: 0, THERE: 0}
        self.size = 0
        self._context = context
        self._source = source
        self._target = target
        self._settings = _share(context.download_settings, context.upload_settings)

    def all_of(self, wanted: Iterator[Wanted]) -> None:
        """Copy the objects, the large ones last and one by one; raise the first failure after all were tried."""
        large: list[Wanted] = []
        failed = self._done(run_each(self._copy, _small(wanted, large), _AT_ONCE))
        failed += self._done(run_each(self._copy_large, iter(large), 1))
        if failed:
            more = f" (and {len(failed) - 1} more objects; the log names them)" if len(failed) > 1 else ""
            raise StorageError(f"{failed[0]}{more}; what was copied stays, and is not sent again")

    def _done(self, results: Iterator[tuple[Wanted, str | PluginError]]) -> list[PluginError]:
        """Count what was copied; return the failures."""
        failed: list[PluginError] = []
        for (info, _), done in results:
            if isinstance(done, PluginError):
                self._context.log.error(f"{info.key} could not be copied: {done}")
                failed.append(done)
                continue
            self.count[done] += 1
            self.size += info.size if done == SENT else 0
        return failed

    def _copy_large(self, one: Wanted) -> str:
        """Copy a large object with the memory of all streams: with 10,000 parts its buffers grow with its size."""
        reading, writing = self._context.download_settings, self._context.upload_settings
        size = max(writing.part_size, -(-one.info.size // _PARTS))
        return self._copy(one, (reading, writing._replace(part_size=size)))

    def _copy(self, one: Wanted, settings: tuple[DownloadSettings, UploadSettings] | None = None) -> str:
        info, wanted = one
        if wanted is not None and wanted.size != info.size:
            raise StorageError(f"{info.key} has {info.size} bytes; {wanted.size} were backed up, says its manifest")
        if self._is_there(info, wanted):
            return THERE
        if self._is_copied_within(info, wanted):
            return COPIED
        self._context.relay(self._source, self._target, info.key, settings or self._settings, wanted)
        return SENT

    def _is_there(self, info: ObjectInfo, wanted: ObjectInfo | None) -> bool:
        """Return whether the replica has the object with this size and checksum."""
        try:
            found = self._target.stat(info.key)
        except NotFound:
            return False
        return found.size == info.size and self._is_same(found, wanted)

    def _is_copied_within(self, info: ObjectInfo, wanted: ObjectInfo | None) -> bool:
        try:
            copy = self._target.copy_from(self._source, wanted or info, info.key)
        except StorageError as error:
            self._context.log.verbose(f"{info.key} is sent, as the store does not copy it: {error}")
            return False
        if copy is None:
            return False
        if not self._is_same(copy, wanted):
            self._target.delete([info.key])
            raise StorageError(f"{info.key}: its copy, made by the store, is not what was backed up")
        return True

    def _is_same(self, found: ObjectInfo, wanted: ObjectInfo | None) -> bool:
        """Return whether an object of the replica has the checksum of the manifest: the one that the store keeps, else
        that of its bytes, which are read.
        """
        if wanted is None or wanted.crc32c is None:
            return True
        if found.crc32c is not None:
            return found.crc32c == wanted.crc32c
        sink = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            self._context.download(self._target, sink, self._settings[0]).write_whole(found.key, wanted)
        except Unreachable:
            raise
        except StorageError as error:
            if found.version is not None and self._target.stat(found.key).version != found.version:
                raise
            self._context.log.info(f"{found.key} is not at the replica as it was backed up: {error}")
            return False
        finally:
            os.close(sink)
        return True


def _small(wanted: Iterator[Wanted], large: list[Wanted]) -> Iterator[Wanted]:
    """Yield the objects that are not large; add the large ones to a list."""
    for one in wanted:
        if one.info.size > _LARGE:
            large.append(one)
        else:
            yield one


def _share(reading: DownloadSettings, writing: UploadSettings) -> tuple[DownloadSettings, UploadSettings]:
    """Return the settings of one of several streams at once."""
    return (
        reading._replace(concurrency=min(2, reading.concurrency), memory_limit=reading.memory_limit // _AT_ONCE),
        writing._replace(concurrency=min(2, writing.concurrency), memory_limit=writing.memory_limit // _AT_ONCE),
    )
