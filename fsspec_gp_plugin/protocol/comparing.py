"""Compares what is restored with the manifests that were made when it was stored."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .. import keys
from ..errors import LocalFileError
from ..storage.contract import ObjectInfo
from .fetching import ESCAPE, build_catalog, entry_of, find_manifests
from .presence import difference_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..integrity.catalog import Catalog
    from ..integrity.entries import Entry
    from ..storage.contract import Store
    from .context import Context


def read_expected(context: Context, key: str) -> ObjectInfo | None:
    """Return what the manifests say about an object; None if none names it or none can be read."""
    if context.config.checksum == "off":
        return None
    _, timestamp, name = keys.parts_of(key)
    return _described(key, entry_of(context, timestamp, name))


def _described(key: str, entry: Entry | None) -> ObjectInfo | None:
    return None if entry is None else ObjectInfo(key, entry.size, None, entry.crc32c)


class Expectations:
    """What a backup's manifests say about its objects, for commands without hooks."""

    def __init__(self, prefix: str, catalog: Catalog | None = None) -> None:
        """Without a catalog nothing is known about the objects."""
        self._prefix = prefix
        self._catalog = catalog

    def of(self, key: str) -> ObjectInfo | None:
        """Return what the manifests say about one object; None if nothing."""
        return None if self._catalog is None else _described(key, self._catalog.entry(key[len(self._prefix) :]))

    def require(self, found: Iterable[ObjectInfo]) -> None:
        """Raise NotFound or StorageError if a listing lacks an object of the manifests or has another size."""
        if self._catalog is not None:
            names = ((info.key[len(self._prefix) :], info.size) for info in found)
            fault = difference_error(self._prefix, self._catalog.difference("", names), ESCAPE)
            if fault is not None:
                raise fault


@contextmanager
def compare_with_manifests(context: Context, prefix: str, store: Store) -> Iterator[Expectations]:
    """Yield what a backup's manifests, read from `store`, say about its objects."""
    if context.config.checksum == "off" or not keys.is_backup_prefix(prefix):
        yield Expectations(prefix)
        return
    from ..integrity.catalog import Catalog

    timestamp = keys.timestamp_of(prefix)
    with Catalog(context.config.place, timestamp, f".{secrets.token_hex(6)}", make=True) as catalog:
        try:
            build_catalog(context, catalog, timestamp, store, find_manifests(context, timestamp, store))
            yield Expectations(prefix, catalog)
        finally:
            catalog.remove()


def log_note(context: Context, wanted: ObjectInfo | None) -> str:
    """Return a note for the log: whether a restored object was compared with the manifests."""
    if context.config.checksum == "off":
        return ""
    return "unverified" if wanted is None else "verified"


def release_manifests(context: Context, timestamp: str) -> None:
    """Remove the manifests that this host has fetched for a restore that ends, unless another restore needs them."""
    from ..integrity import restore_state

    try:
        restore_state.end_restore(context.config.place, timestamp)
    except LocalFileError as error:
        context.log.verbose(str(error))
