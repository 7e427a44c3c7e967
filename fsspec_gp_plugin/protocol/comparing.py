"""What is restored, compared with what was written down when it was stored."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import keys
from ..backups import record
from ..backups.record import BadRecordError
from ..backups.required import Required, of_record, packed, unpacked
from ..errors import AccessDenied, LocalFileError, NotFound
from ..integrity import beside
from ..private import NoDirectoryError
from ..storage.api import ObjectInfo
from .completeness import require_backup
from .presence import CHECKSUM_OFF, Scope, check, difference_told, refuse
from .sources import source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..backups.record import Record
    from ..integrity.catalog import Catalog
    from ..integrity.entry import Entry
    from ..storage.api import Store
    from .context import Context

# So many objects are listed by the coordinator's hook; of a larger backup each segment's lists its own.
_FEW = 10_000


def fetch_manifests(context: Context, prefix: str, timestamp: str) -> None:
    """Fetch what all hosts have noted of a backup, and of those that it builds upon, for the restores on this host to
    compare; and look whether all that they need is at the target. Once a host.
    """
    from ..integrity import catalog_users

    store = source(context, timestamp)
    told = _record(context, store, timestamp)
    earlier = {one: reads for one, reads in ((told and told.plan) or {}).items() if one != timestamp}
    try:
        catalog_users.begin(context.config.place, timestamp, [timestamp, *earlier])
    except LocalFileError:
        if context.config.checksum != "off":
            raise
    looked_at = [timestamp]
    for one, reads in earlier.items():
        # A restore of a table that needs it would fail later, where gprestore hangs.
        try:
            if _has_base(context, one, timestamp, reads=reads):
                looked_at.append(one)
        except NotFound as error:
            refuse(context, error)
    required = Required(timestamp) if told is None else of_record(store, timestamp, told)
    _look(context, store, required, looked_at)


def _record(context: Context, store: Store, timestamp: str) -> Record | None:
    """gpbackup's record of a backup; None where it doesn't tell, as of backups that were not made by gpbackup."""
    try:
        return record.read(store, timestamp)
    except (AccessDenied, NotFound, BadRecordError) as error:
        context.log.info(f"{timestamp}: what must be there is not checked: {error}")
        return None


def _has_base(context: Context, timestamp: str, later: str, *, reads: bool) -> bool:
    """What the restore of a `later` backup needs of one that it builds upon is there; NotFound. Returns whether that is
    its data. gprestore fetches the table of contents in any case.
    """
    store = source(context, timestamp)
    prefix = keys.backup_prefix(timestamp)
    if not reads:
        try:
            store.stat(f"{prefix}gpbackup_{timestamp}_toc.yaml")
        except NotFound as error:
            raise NotFound(f"{later} is an incremental backup, whose restore reads it: {error}") from error
        return False
    require_backup(context, store, prefix, timestamp)
    told = _record(context, store, timestamp)
    required = Required(timestamp) if told is None else replace(of_record(store, timestamp, told), files=())
    _look(context, store, required, [timestamp])
    return True


def _look(context: Context, store: Store, required: Required, chain: list[str]) -> None:
    """Look for what must be there of one backup: all of a small one, of a large one what is the coordinator's; what is
    needed for the rest is kept for the hooks of this host's segments.
    """
    timestamp = required.timestamp
    if required.not_checked:
        context.log.info(f"{timestamp}: the data objects are {required.not_checked}")
    with _manifests(context, timestamp, store) as (catalog, count):
        # What is gone would only be missed much later, where gprestore hangs.
        whole = max(count, required.count) <= _FEW or not store.capabilities.lists_by_prefix
        if not whole:
            beside.write(context.config.place, timestamp, packed(required, chain))
        check(context, store, Scope(timestamp, whole=whole), required, catalog)


@contextmanager
def _manifests(context: Context, timestamp: str, store: Store) -> Iterator[tuple[Catalog | None, int]]:
    """The catalog of a backup's manifests, and how many objects they name; None where they are not looked at."""
    if context.config.checksum == "off":
        yield None, 0
        return
    from ..integrity.catalog import Catalog

    with Catalog(context.config.place, timestamp, make=True) as catalog:
        count = _build(context, catalog, timestamp, store)
        if count is not None:
            context.log.info(f"{timestamp}: the manifests name {count} objects")
        yield catalog, count or 0


def _build(context: Context, catalog: Catalog, timestamp: str, store: Store) -> int | None:
    """Make a catalog of all manifests; returns the number of objects in it, None where there are no manifests."""
    from ..backups import catalogs
    from ..integrity.manifest import BadManifest

    try:
        found = catalogs.find_manifests(store, timestamp)
        if not found:
            context.log.info(f"{timestamp}: restored unverified, as there is no manifest of it")
    except AccessDenied as error:
        context.log.info(f"{timestamp}: restored unverified, as its manifests can't be listed: {error}")
        found = []
    except BadManifest as error:
        raise BadManifest(f"{error}; {CHECKSUM_OFF}") from error
    if not found:
        catalog.remove()
        return None
    try:
        return catalogs.build(catalog, store, timestamp, found)
    except (LocalFileError, BadManifest) as error:
        raise type(error)(f"{error}; {CHECKSUM_OFF}") from error


def require_objects(context: Context, prefix: str, timestamp: str, content: str) -> None:
    """What must be there of one content id is at the target, in its full size; else NotFound or StorageError. It is
    looked for where the hook of this host has left that to those of the segments.
    """
    del prefix
    try:
        kept = beside.read(context.config.place, timestamp)
        chain = [timestamp] if kept is None else unpacked(kept)[1]
        for one in chain:
            if (kept := beside.read(context.config.place, one)) is not None:
                _require_content(context, unpacked(kept)[0], content)
    except (NoDirectoryError, KeyError, ValueError) as error:
        context.log.info(f"{timestamp}: not looked for what must be there: {error}")


def _require_content(context: Context, required: Required, content: str) -> None:
    from ..integrity.catalog import Catalog

    store = source(context, required.timestamp)
    scope = Scope(required.timestamp, content)
    if context.config.checksum == "off":
        check(context, store, scope, required, None)
        return
    with Catalog(context.config.place, required.timestamp) as catalog:
        check(context, store, scope, required, catalog)


def expected(context: Context, key: str) -> ObjectInfo | None:
    """What the manifests say of an object; None where none has been fetched on this host, or none names it."""
    if context.config.checksum == "off":
        return None
    from ..integrity.catalog import Catalog

    _, timestamp, name = keys.parts_of(key)
    try:
        with Catalog(context.config.place, timestamp) as catalog:
            return _described(key, catalog.entry(name))
    except NoDirectoryError:
        return None


def _described(key: str, entry: Entry | None) -> ObjectInfo | None:
    return None if entry is None else ObjectInfo(key, entry.size, None, entry.crc32c)


class Expectations:
    """What a backup's manifests say of its objects, for commands without hooks."""

    def __init__(self, prefix: str, catalog: Catalog | None = None) -> None:
        """Without a catalog nothing is said."""
        self._prefix = prefix
        self._catalog = catalog

    def of(self, key: str) -> ObjectInfo | None:
        """What they say of one object."""
        return None if self._catalog is None else _described(key, self._catalog.entry(key[len(self._prefix) :]))

    def require(self, found: Iterable[ObjectInfo]) -> None:
        """NotFound or StorageError where a listing lacks what they name, or tells another size."""
        if self._catalog is not None:
            names = ((info.key[len(self._prefix) :], info.size) for info in found)
            fault = difference_told(self._prefix, self._catalog.difference("", names))
            if fault is not None:
                raise fault


@contextmanager
def compared(context: Context, prefix: str, store: Store) -> Iterator[Expectations]:
    """What a backup's manifests, read from `store`, say of its objects."""
    if context.config.checksum == "off" or not keys.is_backup_prefix(prefix):
        yield Expectations(prefix)
        return
    from ..integrity.catalog import Catalog

    timestamp = keys.timestamp_of(prefix)
    with Catalog(context.config.place, timestamp, f".{secrets.token_hex(6)}", make=True) as catalog:
        try:
            _build(context, catalog, timestamp, store)
            yield Expectations(prefix, catalog)
        finally:
            catalog.remove()


def verdict(context: Context, wanted: ObjectInfo | None) -> str:
    """For the log: whether an object that was restored was as the manifests say."""
    if context.config.checksum == "off":
        return ""
    return "unverified" if wanted is None else "verified"


def forget_manifests(context: Context, timestamp: str) -> None:
    """A restore has ended: remove what this host has fetched of manifests for it, unless another needs it."""
    from ..integrity import catalog_users

    try:
        catalog_users.end(context.config.place, timestamp)
    except LocalFileError as error:
        context.log.verbose(str(error))
