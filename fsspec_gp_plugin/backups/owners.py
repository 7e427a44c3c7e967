"""Whose backups are, as their claims say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..errors import AccessDenied, NotFound, PluginError, StorageError, Unreachable
from ..integrity import claim as claims
from ..integrity.manifest import FOLDER
from ..keys import backup_prefix
from .claims import read_claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..integrity.claim import Claim
    from ..integrity.cluster import Cluster
    from ..storage.api import ObjectInfo, Store
    from .survey import Backup

_CLAIMS_AT_ONCE = 8


def clusters_of(store: Store, backups: Sequence[Backup]) -> dict[str, Cluster | None]:
    """The cluster of each backup of which a listing has told a claim, by timestamp; None where the claim can't be read.

    Unreachable.
    """
    claimed = [backup for backup in backups if backup.claims]
    with ThreadPoolExecutor(_CLAIMS_AT_ONCE) as pool:
        found = pool.map(lambda backup: _cluster(store, backup), claimed)
        return {backup.timestamp: cluster for backup, cluster in zip(claimed, found, strict=True)}


def _cluster(store: Store, backup: Backup) -> Cluster | None:
    try:
        return read_claim(store, the_one_that_counts(backup.claims).key).cluster
    except Unreachable:
        raise
    except StorageError:
        return None


def the_one_that_counts(listed: Iterable[ObjectInfo]) -> ObjectInfo:
    """Of the claims of one backup that which the store created only because there was none, else that of the smallest
    token, which its name tells.
    """
    return min(listed, key=lambda info: (not info.key.endswith(claims.NAME), info.key))


def claim_at(store: Store, prefix: str) -> tuple[ObjectInfo, Claim] | None:
    """The claim of the backup below a prefix, and its object; None where it has none. StorageErrors."""
    listed = [info for info in store.find(f"{prefix}{FOLDER}claim.") if claims.is_claim(info.key[len(prefix) :])]
    if not listed:
        return None
    info = the_one_that_counts(listed)
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
