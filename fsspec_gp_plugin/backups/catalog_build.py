"""Makes a catalog on this host from a backup's manifests at its target."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import AccessDenied, NotFound
from ..integrity import claim, manifest, marks
from ..integrity.claim import BadClaim
from ..integrity.object_names import FOLDER, is_manifest
from ..keys import backup_prefix
from .claim_reading import read_claim
from .manifest_reading import read_manifests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..integrity.catalog import Catalog
    from ..storage.contract import ObjectInfo, Store

# Of one backup: each host writes one manifest for each attempt.
_MOST_MANIFESTS = 10_000
_MOST_CLAIMS = 4
# As many manifests, marks, and a few other small objects.
_MOST_OBJECTS = 3 * _MOST_MANIFESTS


@dataclass
class PluginObjects:
    """What hosts have left beside one backup: its claims and manifests, by key, and the host and id of each mark."""

    claims: list[ObjectInfo] = field(default_factory=list)
    manifests: list[ObjectInfo] = field(default_factory=list)
    marks: list[tuple[str, str]] = field(default_factory=list)


def find_plugin_objects(store: Store, timestamp: str) -> PluginObjects:
    """List what hosts have left beside one backup. Raises BadManifest if there are more manifests than possible."""
    prefix = backup_prefix(timestamp)
    found = PluginObjects()
    for info in sorted(islice(store.find(prefix + FOLDER), _MOST_OBJECTS + 1), key=lambda info: info.key):
        name = info.key[len(prefix) :]
        if is_manifest(name):
            found.manifests.append(info)
        elif claim.is_claim(name):
            found.claims.append(info)
        elif (mark := marks.parse_host_mark(name)) is not None:
            found.marks.append(mark)
    sort_manifests(found.manifests, timestamp)
    return found


def sort_manifests(manifests: list[ObjectInfo], timestamp: str) -> list[ObjectInfo]:
    """The manifests of a backup, sorted by key. Raises BadManifest if there are more than possible."""
    if len(manifests) > _MOST_MANIFESTS:
        folder = backup_prefix(timestamp) + FOLDER
        raise manifest.BadManifest(f"{folder} holds more than {_MOST_MANIFESTS:,} manifests")
    return sorted(manifests, key=lambda info: info.key)


def read_token(store: Store, claims: Sequence[ObjectInfo]) -> str:
    """The token of a backup's claim. "" if there is none, if two runs have claimed the backup, or it can't be read."""
    try:
        # A claim that was made by best effort is there twice.
        tokens = {read_claim(store, info.key).token for info in claims[:_MOST_CLAIMS]}
    except (AccessDenied, BadClaim, NotFound):
        return ""
    return tokens.pop() if len(tokens) == 1 else ""


def build_catalog(
    catalog: Catalog, store: Store, timestamp: str, manifests: Sequence[ObjectInfo], token: str = ""
) -> int:
    """Make a catalog of manifests, unless it was already made of the same ones. Returns the number of objects in it.
    `token`: that of the backup's claim, "" if it is unknown. Raises BadManifest if manifests disagree, or one belongs
    to another run.
    """
    source = [token, *(f"{info.key} {info.size} {info.version}" for info in manifests)]
    return catalog.build("\n".join(source), lambda: read_manifests(store, timestamp, manifests), token)
