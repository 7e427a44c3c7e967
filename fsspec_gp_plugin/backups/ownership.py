"""Whose backups are, as their claims say, and whether one is of the cluster here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import AccessDenied, NotFound, PluginError, StorageError, Unreachable
from ..integrity.claim import NAME, SETTLED, BadClaim, is_claim
from ..integrity.manifest import FOLDER
from ..keys import backup_prefix
from ..workers import Workers
from .claims import read_claim

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from ..integrity.claim import Claim
    from ..integrity.cluster import Cluster
    from ..storage.contract import ObjectInfo, Store
    from .survey import Backup

_CLAIMS_AT_ONCE = 8
# More of one backup tell nothing more than that the prefix is not one run's alone.
_READ = 4


@dataclass(frozen=True)
class Ownership:
    """The claims of one backup: none of one that was made before there were claims. `unreadable`: why one of them
    can't be read, "" where all were.
    """

    claims: tuple[Claim, ...] = ()
    unreadable: str = ""

    @property
    def claim(self) -> Claim | None:
        """The claim, where there is just one."""
        return self.claims[0] if len(self.claims) == 1 and not self.unreadable else None

    @property
    def problem(self) -> str:
        """That two runs have claimed the backup, whose; "" where they have not."""
        if len(self.claims) < 2:
            return ""
        first, second = self.claims[:2]
        return f"two runs have claimed it, of which nothing tells the objects apart: {first.cluster}, {second.cluster}"


def by_weight(listed: Iterable[ObjectInfo]) -> list[ObjectInfo]:
    """The claims of one backup, that which counts first: the one which the store created only because there was none,
    else the one that was settled, else that of the smallest token, which its name tells.
    """
    return sorted(listed, key=lambda info: (not info.key.endswith(NAME), not info.key.endswith(SETTLED), info.key))


def ownership_of(store: Store, backup: Backup) -> Ownership:
    """Read a backup's claims, and note in the backup whether its gpbackup was interrupted. Unreachable."""
    # By token: a claim that was made by best effort lies there twice.
    found: dict[str, Claim] = {}
    for info in by_weight(backup.claims)[:_READ]:
        try:
            claim = read_claim(store, info.key)
        except Unreachable:
            raise
        except StorageError as error:
            return Ownership(tuple(found.values()), f"its claim can't be read: {error}")
        found.setdefault(claim.token, claim)
    backup.interrupted = _is_interrupted(store, backup, found.values())
    return Ownership(tuple(found.values()))


def _is_interrupted(store: Store, backup: Backup, claims: Collection[Claim]) -> bool:
    """Whether gpbackup has ended without its report. Where two runs have claimed the backup, both must have ended."""
    if backup.report_key or backup.is_copied or not claims:
        return False
    if not all(claim.process is not None and claim.process.has_ended() for claim in claims):
        return False
    # It may have come to its end since the backup was listed.
    try:
        store.stat(f"{backup_prefix(backup.timestamp)}gpbackup_{backup.timestamp}_report")
    except NotFound:
        return True
    except Unreachable:
        raise
    except StorageError:
        pass
    return False


def require_ended(store: Store, backup: Backup) -> None:
    """PluginError where the gpbackup of a backup that is not finished runs on this host."""
    for claim in ownership_of(store, backup).claims:
        if claim.process is not None and claim.process.is_running():
            raise PluginError(
                f"gpbackup still makes the backup {backup.timestamp}, as process {claim.process.pid} on this host"
            )


def ownerships(store: Store, backups: Sequence[Backup]) -> dict[str, Ownership]:
    """Read the claims of backups, by timestamp. Unreachable."""
    with Workers(_CLAIMS_AT_ONCE) as pool:
        found = pool.map(lambda one: ownership_of(store, one), backups)
        return dict(zip((one.timestamp for one in backups), found, strict=True))


def clusters_of(store: Store, backups: Sequence[Backup]) -> dict[str, Cluster | None]:
    """The cluster of each backup of which a listing has told a claim, by timestamp; None where the claim can't be read,
    and where two runs have claimed it. Unreachable.
    """
    found = ownerships(store, [backup for backup in backups if backup.claims])
    return {timestamp: one.claim.cluster if one.claim else None for timestamp, one in found.items()}


def claim_at(store: Store, prefix: str) -> tuple[ObjectInfo, Claim] | None:
    """The claim of the backup below a prefix that counts, and its object; None where it has none. StorageErrors."""
    return next(_claims_at(store, prefix), None)


def _claims_at(store: Store, prefix: str) -> Iterator[tuple[ObjectInfo, Claim]]:
    """All claims of the backup below a prefix, that which counts first."""
    listed = [info for info in store.find(f"{prefix}{FOLDER}claim.") if is_claim(info.key[len(prefix) :])]
    for info in by_weight(listed):
        try:
            yield info, read_claim(store, info.key)
        except NotFound:
            continue  # it was deleted meanwhile


def require_ours(store: Store, timestamp: str, here: Cluster, note: Callable[[str], None]) -> None:
    """PluginError where another cluster than `here` claims the backup of that timestamp, be it beside ours.

    One whose claim may not be read counts as one without a claim, of which `note` is told.
    """
    anyway = f"`delete_backup CONFIG {timestamp} --any-cluster`"
    try:
        for _, claim in _claims_at(store, backup_prefix(timestamp)):
            if not claim.cluster.is_same(here):
                raise PluginError(_refusal(timestamp, claim.cluster, here, anyway))
    except AccessDenied as error:
        note(f"nothing tells whether another cluster claims {timestamp}: {error}")
    except BadClaim as error:
        told = str(error)
        way = "" if anyway in told else f"; {anyway} deletes it all the same"
        raise PluginError(f"nothing tells whose the backup {timestamp} is: {told}{way}") from error


def _refusal(timestamp: str, theirs: Cluster, here: Cluster, anyway: str) -> str:
    if theirs.name:
        own = f"if this is cluster {theirs.name!r}, set the option `cluster` to {theirs.name}"
    else:
        own = "delete it from that coordinator"
    return f"the backup {timestamp} is of {theirs}, and this is {here}; {own}, or run {anyway}"
