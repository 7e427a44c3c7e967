"""Finds what one of several calls copies of a backup that they replicate together."""

from __future__ import annotations

import os
import secrets
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .. import keys
from ..backups.catalog_build import find_plugin_objects, read_token
from ..backups.config_reading import read_backup_config
from ..backups.replica_checks import objects_to_copy
from ..backups.shares import Share, count_contents
from ..errors import AccessDenied, StorageError, Unreachable
from ..integrity.catalog import Catalog
from ..integrity.claim import is_claim
from ..integrity.object_names import FOLDER
from .comparing import Expectations, compare_with_manifests
from .fetching import Manifests, build_catalog
from .replica_copy import Wanted

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from ..backups.shares import Piece
    from ..storage.contract import ObjectInfo, Store
    from .context import Context

# gpbackup's names end so for what a replica gets last, when all else is there.
END = ("toc.yaml", "report")


def first_objects(listed: Iterable[ObjectInfo], prefix: str) -> Iterator[ObjectInfo]:
    """Yield the listed objects that are copied, except the claim and those that are copied last."""
    timestamp = keys.timestamp_of(prefix)
    for info in objects_to_copy(listed, prefix):
        name = info.key[len(prefix) :]
        if not is_end(name, timestamp) and not is_claim(name):
            yield info


def is_end(name: str, timestamp: str) -> bool:
    """Return whether an object is copied last, by its name below the backup's prefix."""
    return name in {f"gpbackup_{timestamp}_{end}" for end in END}


def objects_of_shard(
    context: Context, source: Store, prefix: str, shard: tuple[int, int]
) -> Generator[Wanted, None, None]:
    """Yield what part I of N copies of a backup. Where the names of the manifests show all content ids, it lists and
    reads only what it needs of them; what has no content id is then left to the call that copies the end.
    """
    timestamp = keys.timestamp_of(prefix)
    found = _find_manifests(source, timestamp)
    counts = count_contents(found.infos, timestamp, _count_segments(source, timestamp))
    if counts is None:
        with compare_with_manifests(context, prefix, source) as expected:
            for info in _of_part(first_objects(source.find(prefix), prefix), shard):
                yield Wanted(info, expected.of(info.key))
        return
    for info in _of_part(first_objects(source.find(prefix + FOLDER), prefix), shard):
        yield Wanted(info)
    share = Share(source, timestamp, counts, shard)
    for piece in share.pieces():
        with _compare_piece(context, source, prefix, piece, found) as expected:
            for info in _of_part(first_objects(piece.list_objects(source), prefix), share.part):
                yield Wanted(info, expected.of(info.key))


def _find_manifests(source: Store, timestamp: str) -> Manifests:
    try:
        found = find_plugin_objects(source, timestamp)
    except AccessDenied:
        return Manifests([])
    return Manifests(found.manifests, read_token(source, found.claims))


def _count_segments(source: Store, timestamp: str) -> int:
    """Return how many segments wrote to the backup; 0 if gpbackup's config file does not say. What the shards then
    leave is copied at the end.
    """
    try:
        return read_backup_config(source, timestamp).segments or 0
    except Unreachable:
        raise
    except StorageError:
        return 0


@contextmanager
def _compare_piece(
    context: Context, source: Store, prefix: str, piece: Piece, manifests: Manifests
) -> Iterator[Expectations]:
    """Yield what the manifests say about the objects of one piece."""
    if context.config.checksum == "off":
        yield Expectations(prefix)
        return
    with Catalog(context.config.place, piece.timestamp, f".{secrets.token_hex(6)}", make=True) as catalog:
        try:
            build_catalog(context, catalog, piece.timestamp, source, manifests, piece.contents)
            yield Expectations(prefix, catalog)
        finally:
            catalog.remove()


def _of_part(objects: Iterable[ObjectInfo], part: tuple[int, int]) -> Iterator[ObjectInfo]:
    number, parts = part
    return (info for info in objects if zlib.crc32(os.fsencode(info.key)) % parts == number)
