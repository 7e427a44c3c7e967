"""What the objects of a backup are: written down as they are stored, compared as they are restored."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .. import keys
from ..errors import AccessDenied, LocalFileError, NotFound, StorageError
from ..private import NoDirectoryError
from ..storage.api import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..integrity.catalog import Catalog
    from ..integrity.entry import Entry
    from ..storage.api import Store
    from .context import Context

# So many objects are listed by the coordinator's hook; of a larger backup each segment's lists its own.
_FEW = 10_000
_PIECE = 1 << 20
_ESCAPE = "set `checksum: off` to restore what there is without looking at the manifests"


def recorded(context: Context, key: str, send: Callable[[], ObjectInfo]) -> ObjectInfo:
    """Store an object of a backup by `send`, and note its size and checksum on this host.

    What can't be noted fails before it is stored, or is taken back.
    """
    if context.config.checksum == "off":
        return send()
    from ..integrity.entry import Entry
    from ..integrity.journal import Journal

    _, timestamp, name = keys.parts_of(key)
    with Journal(context.config.url, timestamp) as journal:
        journal.prepare()
        sent = send()
        if sent.crc32c is not None:
            try:
                journal.add(Entry(name, sent.size, sent.crc32c))
            except LocalFileError:
                context.store.delete([key])
                raise
    return sent


def begin_journal(context: Context, timestamp: str) -> None:
    """Prove that this host can note what it stores, and forget what is of no use to anybody."""
    if context.config.checksum == "off":
        return
    from ..integrity.journal import Journal

    with Journal(context.config.url, timestamp) as journal:
        journal.discard(whole=True)
        journal.sweep()
        journal.prepare()


def store_manifest(context: Context, prefix: str, timestamp: str) -> None:
    """Make one manifest of what this host has noted, and store it beside the backup."""
    if context.config.checksum == "off":
        return
    from ..integrity.journal import Journal

    with Journal(context.config.url, timestamp) as journal:
        entries, damaged = journal.take()
        if damaged:
            context.log.error(
                f"{damaged} entries of the journal of {timestamp} can't be read; these objects are unverified"
            )
        if entries:
            _put_manifest(context, prefix, timestamp, entries)
        journal.discard()


def put_manifest_of(context: Context, prefix: str, sent: list[ObjectInfo]) -> None:
    """Store a manifest of objects that were sent without a hook that comes after them."""
    from ..integrity.entry import Entry

    found = [Entry(info.key[len(prefix) :], info.size, info.crc32c) for info in sent if info.crc32c is not None]
    if found:
        _put_manifest(context, prefix, prefix.split("/")[2], sorted(found))


def _put_manifest(context: Context, prefix: str, timestamp: str, entries: list[Entry]) -> None:
    """Store a manifest of these objects of this host."""
    from ..integrity import manifest

    with memoryview(manifest.encoded(timestamp, entries)) as data:
        try:
            context.patient_store.put(prefix + manifest.new_name(), data)
        except StorageError as error:
            raise type(error)(
                f"the manifest of {len(entries)} objects can't be stored, without which a restore can't verify them; "
                f"run it again: {error}"
            ) from error


def fetch_manifests(context: Context, prefix: str, timestamp: str) -> None:
    """Fetch what all hosts have noted of a backup, for the restores on this host to compare."""
    from ..integrity.catalog import Catalog

    if context.config.checksum == "off":
        return
    with Catalog(context.config.url, timestamp, make=True) as catalog:
        catalog.remove()
        count = _built(context, catalog, prefix, timestamp)
        if count is None:
            return
        context.log.info(f"{timestamp}: the manifests name {count} objects")
        # The coordinator's files first: what else there is would only be missed much later, where gprestore hangs.
        _require(context, catalog, prefix, "" if count <= _FEW else f"gpbackup_{timestamp}")


def _built(context: Context, catalog: Catalog, prefix: str, timestamp: str) -> int | None:
    """The number of objects in a catalog made of all manifests; None where there are none."""
    from ..integrity import manifest

    store = context.store
    try:
        found = sorted(
            (info for info in store.find(prefix + manifest.FOLDER) if manifest.is_manifest(info.key[len(prefix) :])),
            key=lambda info: info.key,
        )
    except AccessDenied as error:
        context.log.info(f"{timestamp}: restored unverified, as its manifests can't be listed: {error}")
        return None
    if not found:
        context.log.info(f"{timestamp}: restored unverified, as there is no manifest of it")
        return None
    return catalog.build(manifest.decoded(info.key, timestamp, _pieces(store, info)) for info in found)


def _pieces(store: Store, info: ObjectInfo) -> Iterator[bytes]:
    buffer = bytearray(_PIECE)
    with memoryview(buffer) as view:
        for start in range(0, info.size, _PIECE):
            filled = 0
            for count in store.read(info, start, view[: min(_PIECE, info.size - start)]):
                filled += count
            yield bytes(view[:filled])


def require_objects(context: Context, prefix: str, timestamp: str, content: str) -> None:
    """What the manifests name of one content id is at the target, in its full size; else NotFound or StorageError."""
    from ..integrity.catalog import Catalog

    if context.config.checksum == "off":
        return
    try:
        with Catalog(context.config.url, timestamp) as catalog:
            _require(context, catalog, prefix, f"gpbackup_{content}_{timestamp}")
    except NoDirectoryError as error:
        context.log.info(f"{timestamp}: not compared with its manifests: {error}")


def _require(context: Context, catalog: Catalog, prefix: str, start: str) -> None:
    wanted = {entry.name: entry.size for entry in catalog.entries(start)}
    if not wanted:
        return
    total = len(wanted)
    try:
        for info in context.store.find(prefix + start):
            size = wanted.pop(info.key[len(prefix) :], info.size)
            if size != info.size:
                raise StorageError(
                    f"{info.key} has {info.size} bytes, but {size} were backed up, says its manifest; {_ESCAPE}"
                )
    except AccessDenied as error:
        context.log.info(f"{prefix} can't be listed, so nothing tells whether all is there: {error}")
        return
    if wanted:
        more = f" and {len(wanted) - 1} more" if len(wanted) > 1 else ""
        raise NotFound(
            f"{prefix}{min(wanted)}{more} of {total} objects were backed up, says their manifest, but are not at the "
            f"target; {_ESCAPE}"
        )


def expected(context: Context, key: str) -> ObjectInfo | None:
    """What the manifests say of an object; None where none has been fetched on this host, or none names it."""
    if context.config.checksum == "off":
        return None
    from ..integrity.catalog import Catalog

    _, timestamp, name = keys.parts_of(key)
    try:
        with Catalog(context.config.url, timestamp) as catalog:
            return _described(key, catalog.entry(name))
    except NoDirectoryError:
        return None


def _described(key: str, entry: Entry | None) -> ObjectInfo | None:
    return None if entry is None else ObjectInfo(key, entry.size, None, entry.crc32c)


@contextmanager
def compared(context: Context, prefix: str) -> Iterator[Callable[[str], ObjectInfo | None]]:
    """What a backup's manifests say of an object, by its key, for a restore without hooks."""
    if context.config.checksum == "off" or not keys.is_backup_prefix(prefix):
        yield lambda _: None
        return
    from ..integrity.catalog import Catalog

    timestamp = prefix.split("/")[2]
    with Catalog(context.config.url, timestamp, f".{secrets.token_hex(6)}", make=True) as catalog:
        try:
            _built(context, catalog, prefix, timestamp)
            yield lambda key: _described(key, catalog.entry(key[len(prefix) :]))
        finally:
            catalog.remove()


def verdict(context: Context, wanted: ObjectInfo | None) -> str:
    """For the log: whether an object that was restored was as the manifests say."""
    if context.config.checksum == "off":
        return ""
    return "unverified" if wanted is None else "verified"


def forget_manifests(context: Context, timestamp: str) -> None:
    """Remove what this host has fetched of a backup's manifests."""
    from ..integrity.catalog import Catalog

    try:
        with Catalog(context.config.url, timestamp) as catalog:
            catalog.remove()
    except LocalFileError as error:
        context.log.verbose(str(error))


def forget(context: Context, timestamp: str) -> None:
    """Remove all that this host knows of a backup."""
    from ..integrity.journal import Journal

    forget_manifests(context, timestamp)
    try:
        with Journal(context.config.url, timestamp) as journal:
            journal.discard(whole=True)
    except LocalFileError as error:
        context.log.verbose(str(error))
