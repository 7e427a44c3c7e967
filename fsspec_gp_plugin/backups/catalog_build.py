"""Makes a catalog on this host from a backup's manifests at its target."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import AccessDenied, NotFound
from ..integrity import claim, manifest, marks
from ..integrity.claim import BadClaim
from ..integrity.object_names import FOLDER, MARKS_FOLDER, is_manifest
from ..keys import backup_prefix
from .claim_reading import read_claim
from .manifest_reading import read_manifests, select_by_contents

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ..integrity.catalog import Catalog
    from ..integrity.claim import Claim
    from ..storage.contract import ObjectInfo, Store

# Of one backup: each host writes one manifest for each attempt.
_MOST_MANIFESTS = 10_000
_MOST_CLAIMS = 4
# As many manifests, marks, and a few other small objects.
_MOST_OBJECTS = 3 * _MOST_MANIFESTS


@dataclass
class PluginObjects:
    """What hosts have left beside one backup: its claims and manifests, by key, and the host and id of each mark that
    is not in the folder of marks. `has_marks`: there is such a folder.
    """

    claims: list[ObjectInfo] = field(default_factory=list)
    manifests: list[ObjectInfo] = field(default_factory=list)
    marks: list[tuple[str, str]] = field(default_factory=list)
    has_marks: bool = False


def find_plugin_objects(store: Store, timestamp: str) -> PluginObjects:
    """List what hosts have left beside one backup. Raises BadManifest if there are more manifests than possible."""
    prefix = backup_prefix(timestamp)
    found = PluginObjects()
    count = 0
    for page in store.list_pages(prefix + FOLDER, shallow=True):
        found.has_marks = found.has_marks or prefix + MARKS_FOLDER in page.folders
        for info in page.objects:
            name = info.key[len(prefix) :]
            if is_manifest(name):
                found.manifests.append(info)
            elif claim.is_claim(name):
                found.claims.append(info)
            elif (mark := marks.parse_host_mark(name)) is not None:
                found.marks.append(mark)
        count += len(page.objects)
        if count > _MOST_OBJECTS:
            break
    found.manifests = sort_manifests(found.manifests, timestamp)
    return found


def find_marks(store: Store, timestamp: str) -> list[tuple[str, str]]:
    """The host and id of each mark in the folder of marks of a backup."""
    prefix = backup_prefix(timestamp)
    listed = islice(store.find(prefix + MARKS_FOLDER), _MOST_OBJECTS)
    found = (marks.parse_host_mark(info.key[len(prefix) :]) for info in listed)
    return [mark for mark in found if mark is not None]


def sort_manifests(manifests: list[ObjectInfo], timestamp: str) -> list[ObjectInfo]:
    """The manifests of a backup, sorted by key. Raises BadManifest if there are more than possible."""
    if len(manifests) > _MOST_MANIFESTS:
        folder = backup_prefix(timestamp) + FOLDER
        raise manifest.BadManifest(f"{folder} holds more than {_MOST_MANIFESTS:,} manifests")
    return sorted(manifests, key=lambda info: info.key)


def read_only_claim(
    store: Store, claims: Sequence[ObjectInfo], note: Callable[[str], None] = lambda _: None
) -> Claim | None:
    """The claim of a backup. None if there is none, if two runs have claimed the backup, or it can't be read; `note`
    gets the reason.
    """
    try:
        # A claim that was made by best effort is there twice.
        found = {one.token: one for one in (read_claim(store, info.key) for info in claims[:_MOST_CLAIMS])}
    except NotFound:
        return None
    except (AccessDenied, BadClaim) as error:
        note(f"the claim of a backup is not used: {error}")
        return None
    if len(found) > 1:
        note(f"the claims of a backup are not used, as there are several: {claims[0].key}")
    return next(iter(found.values())) if len(found) == 1 else None


def read_token(store: Store, claims: Sequence[ObjectInfo]) -> str:
    """The token of that claim, "" if there is none."""
    found = read_only_claim(store, claims)
    return "" if found is None else found.token


def build_catalog(
    catalog: Catalog,
    store: Store,
    timestamp: str,
    manifests: Sequence[ObjectInfo],
    token: str = "",
    contents: Collection[int] | None = None,
) -> int:
    """Make a catalog of manifests, unless it was already made of the same ones. Returns the number of objects in it.
    `token`: that of the backup's claim, "" if it is unknown; `contents`: the content ids whose objects are wanted, None
    for all. Raises BadManifest if manifests disagree, or one belongs to another run.
    """
    if contents is not None:
        manifests = select_by_contents(manifests, timestamp, contents)
    named = (f"{info.key} {info.size} {info.version}" for info in manifests)
    source = [token, str(contents and sorted(contents)), *named]
    return catalog.build("\n".join(source), lambda: read_manifests(store, timestamp, manifests, contents), token)
