"""What is restored, compared with what was written down when it was stored."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .. import keys
from ..backups.plans import needed
from ..backups.record import BadRecordError
from ..errors import AccessDenied, LocalFileError, NotFound, StorageError
from ..private import NoDirectoryError
from ..storage.api import ObjectInfo
from ..storage.mirrored import MirroredStore
from .completeness import require_backup
from .fetching import ESCAPE, build_catalog, entry_of
from .sources import source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..integrity.catalog import Catalog, Difference
    from ..integrity.entry import Entry
    from ..storage.api import Store
    from .context import Context

# So many objects are listed by the coordinator's hook; of a larger backup each segment's lists its own.
_FEW = 10_000


def fetch_manifests(context: Context, prefix: str, timestamp: str) -> None:
    """Fetch what all hosts have noted of a backup, and of those that it builds upon, for the restores on this host to
    compare; and compare it with what is at the target.
    """
    if context.config.checksum == "off":
        return
    from ..integrity import catalog_users
    from ..integrity.catalog import Catalog

    store = source(context, timestamp)
    try:
        earlier = needed(store, timestamp)
    except (AccessDenied, NotFound, BadRecordError):
        earlier = frozenset()
    catalog_users.begin(context.config.place, timestamp, [timestamp, *earlier])
    for one in earlier:
        # A restore of a table that needs it would fail later, where gprestore hangs.
        base = source(context, one)
        require_backup(context, base, keys.backup_prefix(one), one)
        with Catalog(context.config.place, one, make=True) as catalog:
            build_catalog(context, catalog, one, base)
    with Catalog(context.config.place, timestamp, make=True) as catalog:
        count = build_catalog(context, catalog, timestamp, store)
        if count is None:
            return
        context.log.info(f"{timestamp}: the manifests name {count} objects")
        # What is gone would only be missed much later, where gprestore hangs.
        whole = count <= _FEW or not store.capabilities.lists_by_prefix
        _require(context, catalog, prefix, store, "" if whole else f"gpbackup_{timestamp}")


def require_objects(context: Context, prefix: str, timestamp: str, content: str) -> None:
    """What the manifests name of one content id is at the target, in its full size; else NotFound or StorageError."""
    from ..integrity.catalog import Catalog

    # Where a listing is always one of all, the coordinator's hook has looked at all.
    store = source(context, timestamp)
    if context.config.checksum == "off" or not store.capabilities.lists_by_prefix:
        return
    try:
        with Catalog(context.config.place, timestamp) as catalog:
            _require(context, catalog, prefix, store, f"gpbackup_{content}_{timestamp}")
    except NoDirectoryError as error:
        context.log.info(f"{timestamp}: not compared with its manifests: {error}")


def _require(context: Context, catalog: Catalog, prefix: str, store: Store, start: str) -> None:
    if not catalog.has(start):
        return

    def names(found: Iterable[ObjectInfo]) -> Iterator[tuple[str, int]]:
        return ((info.key[len(prefix) :], info.size) for info in found)

    try:
        found = catalog.difference(start, names(store.find(prefix + start)))
        if found is not None and isinstance(store, MirroredStore):
            found = catalog.difference(start, names(store.find_at_both(prefix + start)))
    except AccessDenied as error:
        context.log.info(f"{prefix} can't be listed, so nothing tells whether all is there: {error}")
        return
    _refuse(prefix, found)


def _refuse(prefix: str, found: Difference | None) -> None:
    if found is None:
        return
    if found.size is not None:
        raise StorageError(
            f"{prefix}{found.name} has {found.size} bytes, but {found.backed_up} were backed up, says its manifest; "
            f"{ESCAPE}"
        )
    more = f" and {found.missing - 1} more" if found.missing > 1 else ""
    raise NotFound(
        f"{prefix}{found.name}{more} of {found.total} objects were backed up, says their manifest, but are not at the "
        f"target, or not in that size; {ESCAPE}"
    )


def expected(context: Context, key: str) -> ObjectInfo | None:
    """What the manifests say of an object; None where none names it, or there is none that can be read."""
    if context.config.checksum == "off":
        return None
    _, timestamp, name = keys.parts_of(key)
    return _described(key, entry_of(context, timestamp, name))


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
            _refuse(self._prefix, self._catalog.difference("", names))


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
            build_catalog(context, catalog, timestamp, store)
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
