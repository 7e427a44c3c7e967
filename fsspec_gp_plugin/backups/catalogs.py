"""A backup's manifests at its target, made a catalog on this host."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from ..integrity import manifest
from ..keys import backup_prefix
from ..storage.reading import pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..integrity.catalog import Catalog
    from ..storage.api import ObjectInfo, Store

# Of one backup, one a host and attempt.
_MOST_MANIFESTS = 10_000


def find_manifests(store: Store, timestamp: str) -> list[ObjectInfo]:
    """Those of one backup, by name; BadManifest where there are more than can be."""
    prefix = backup_prefix(timestamp)
    listed = (info for info in store.find(prefix + manifest.FOLDER) if manifest.is_manifest(info.key[len(prefix) :]))
    return limited(sorted(islice(listed, _MOST_MANIFESTS + 1), key=lambda info: info.key), timestamp)


def limited(found: list[ObjectInfo], timestamp: str) -> list[ObjectInfo]:
    """The manifests of a backup; BadManifest where there are more than can be."""
    if len(found) > _MOST_MANIFESTS:
        folder = backup_prefix(timestamp) + manifest.FOLDER
        raise manifest.BadManifest(f"{folder} holds more than {_MOST_MANIFESTS:,} manifests")
    return found


def build(catalog: Catalog, store: Store, timestamp: str, manifests: Sequence[ObjectInfo]) -> int:
    """Make a catalog of them, unless it was made of just these; returns the number of objects in it."""
    budget = manifest.Budget()
    return catalog.build(
        "\n".join(f"{info.key} {info.size} {info.version}" for info in manifests),
        lambda: (manifest.decoded(info.key, timestamp, pieces(store, info), budget) for info in manifests),
    )
