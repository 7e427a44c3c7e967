"""Whether a backup is of the cluster here, as its claim says, and of which one each of many is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import AccessDenied, NotFound, PluginError
from ..integrity import claim as claims
from ..integrity.manifest import FOLDER
from ..keys import backup_prefix
from .claims import read_claim
from .ownership import by_weight, ownerships

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..integrity.claim import Claim
    from ..integrity.cluster import Cluster
    from ..storage.api import ObjectInfo, Store
    from .survey import Backup


def clusters_of(store: Store, backups: Sequence[Backup]) -> dict[str, Cluster | None]:
    """The cluster of each backup of which a listing has told a claim, by timestamp; None where the claim can't be read,
    and where two runs have claimed it. Unreachable.
    """
    found = ownerships(store, [backup for backup in backups if backup.claims])
    return {timestamp: one.claim.cluster if one.claim else None for timestamp, one in found.items()}


def claim_at(store: Store, prefix: str) -> tuple[ObjectInfo, Claim] | None:
    """The claim of the backup below a prefix, and its object; None where it has none. StorageErrors."""
    listed = [info for info in store.find(f"{prefix}{FOLDER}claim.") if claims.is_claim(info.key[len(prefix) :])]
    if not listed:
        return None
    info = by_weight(listed)[0]
    try:
        return info, read_claim(store, info.key)
    except NotFound:
        return None  # it was deleted meanwhile


def require_ours(store: Store, timestamp: str, here: Cluster, note: Callable[[str], None]) -> None:
    """PluginError where another cluster than `here` claims the backup of that timestamp.

    One whose claim may not be read counts as one without a claim, of which `note` is told.
    """
    anyway = f"`delete_backup CONFIG {timestamp} --any-cluster` deletes it whosever it is"
    try:
        found = claim_at(store, backup_prefix(timestamp))
    except AccessDenied as error:
        note(f"nothing tells whether another cluster claims {timestamp}: {error}")
        return
    except claims.BadClaim as error:
        raise PluginError(f"nothing tells whose the backup {timestamp} is: {error}; {anyway}") from error
    if found is None or found[1].cluster.is_same(here):
        return
    theirs = found[1].cluster
    if theirs.name:
        by_name = f"if it is this cluster's, set the option `cluster` to {theirs.name}"
    else:
        by_name = "the option `cluster` names a cluster whose coordinator changes, for the backups to come"
    raise PluginError(f"the backup {timestamp} is of {theirs}, and this is {here}; {anyway}; {by_name}")
