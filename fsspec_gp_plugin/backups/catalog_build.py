"""A backup's manifests at its target, made a catalog on this host."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import AccessDenied, NotFound
from ..integrity import claim, host_mark, manifest
from ..integrity.claim import BadClaim
from ..keys import backup_prefix
from ..storage.reading import pieces
from .claims import read_claim

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..integrity.catalog import Catalog
    from ..integrity.merging import Manifest
    from ..storage.contract import ObjectInfo, Store

# Of one backup, one a host and attempt.
_MOST_MANIFESTS = 10_000
_MOST_CLAIMS = 4
# As many manifests, marks, and a few other small objects.
_MOST_NOTES = 3 * _MOST_MANIFESTS


@dataclass
class Notes:
    """What hosts have left beside one backup: its claims and manifests, by key, and the host and id of each mark."""

    claims: list[ObjectInfo] = field(default_factory=list)
    manifests: list[ObjectInfo] = field(default_factory=list)
    marks: list[tuple[str, str]] = field(default_factory=list)


def find_notes(store: Store, timestamp: str) -> Notes:
    """Those of one backup, by one listing; BadManifest where there are more than can be."""
    prefix = backup_prefix(timestamp)
    found = Notes()
    for info in sorted(islice(store.find(prefix + manifest.FOLDER), _MOST_NOTES + 1), key=lambda info: info.key):
        name = info.key[len(prefix) :]
        if manifest.is_manifest(name):
            found.manifests.append(info)
        elif claim.is_claim(name):
            found.claims.append(info)
        elif (marked := host_mark.read(name)) is not None:
            found.marks.append(marked)
    limited(found.manifests, timestamp)
    return found


def limited(found: list[ObjectInfo], timestamp: str) -> list[ObjectInfo]:
    """The manifests of a backup, by key; BadManifest where there are more than can be."""
    if len(found) > _MOST_MANIFESTS:
        folder = backup_prefix(timestamp) + manifest.FOLDER
        raise manifest.BadManifest(f"{folder} holds more than {_MOST_MANIFESTS:,} manifests")
    return sorted(found, key=lambda info: info.key)


def token_of(store: Store, claims: Sequence[ObjectInfo]) -> str:
    """The token of a backup's claim; "" where there is none, or of two runs, or it can't be read."""
    try:
        # A claim that was made by best effort lies there twice.
        tokens = {read_claim(store, info.key).token for info in claims[:_MOST_CLAIMS]}
    except (AccessDenied, BadClaim, NotFound):
        return ""
    return tokens.pop() if len(tokens) == 1 else ""


def build(catalog: Catalog, store: Store, timestamp: str, manifests: Sequence[ObjectInfo], token: str = "") -> int:
    """Make a catalog of them, unless it was made of just these; returns the number of objects in it. `token`: that of
    the backup's claim, "" where it isn't known. BadManifest where they disagree or one belongs to another run.
    """

    def said() -> Iterator[Manifest]:
        budget = manifest.Budget()
        for info in manifests:
            yield info.key, manifest.decoded(info.key, timestamp, pieces(store, info), budget)

    source = [token, *(f"{info.key} {info.size} {info.version}" for info in manifests)]
    return catalog.build("\n".join(source), said, token)
