"""Reads from claims which clusters own backups, and checks that a backup belongs to this cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import AccessDenied, NotFound, PluginError, StorageError, Unreachable
from ..integrity.claim import NAME, SETTLED, BadClaim, is_claim
from ..integrity.object_names import FOLDER
from ..keys import backup_prefix
from ..workers import Workers
from .claim_reading import read_claim

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from ..integrity.claim import Claim
    from ..integrity.cluster import Cluster
    from ..storage.contract import ObjectInfo, Store
    from .backup import Backup

_CLAIMS_AT_ONCE = 8
# Two claims already show that several runs have written here.
_READ = 4


@dataclass(frozen=True)
class Ownership:
    """The claims of one backup, none if it was made before there were claims. `unreadable`: why one of them can't be
    read, "" if all were read.
    """

    claims: tuple[Claim, ...] = ()
    unreadable: str = ""

    @property
    def claim(self) -> Claim | None:
        """The claim, if there is exactly one. Otherwise None."""
        return self.claims[0] if len(self.claims) == 1 and not self.unreadable else None

    @property
    def problem(self) -> str:
        """The fault that two runs have claimed the backup. "" if they have not."""
        if len(self.claims) < 2:
            return ""
        first, second = self.claims[:2]
        return f"two runs have claimed it, and their objects can't be told apart: {first.cluster}, {second.cluster}"


def sort_claims(listed: Iterable[ObjectInfo]) -> list[ObjectInfo]:
    """The claims of one backup, the deciding one first: the one that the store created only because there was none,
    then the one that was settled, then the one with the smallest token, which is in its name.
    """
    return sorted(listed, key=lambda info: (not info.key.endswith(NAME), not info.key.endswith(SETTLED), info.key))


def read_ownership(store: Store, backup: Backup) -> Ownership:
    """Read a backup's claims, and set whether the backup was interrupted. Raises Unreachable."""
    # By token: a claim that was made by best effort is there twice.
    found: dict[str, Claim] = {}
    for info in sort_claims(backup.claims)[:_READ]:
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
    """Whether gpbackup has ended without a report. If two runs have claimed the backup, both must have ended."""
    if backup.report_key or backup.is_copied or not claims:
        return False
    if not all(claim.process is not None and claim.process.has_ended() for claim in claims):
        return False
    # It may have finished since the backup was listed.
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
    """Raises PluginError if the gpbackup of an unfinished backup runs on this host."""
    for claim in read_ownership(store, backup).claims:
        if claim.process is not None and claim.process.is_running():
            raise PluginError(
                f"gpbackup is still making the backup {backup.timestamp}, as process {claim.process.pid} on this host"
                "; wait for it, or end it first"
            )


def read_ownerships(store: Store, backups: Sequence[Backup]) -> dict[str, Ownership]:
    """Read the claims of backups, by timestamp. Raises Unreachable."""
    with Workers(_CLAIMS_AT_ONCE) as pool:
        found = pool.map(lambda one: read_ownership(store, one), backups)
        return dict(zip((one.timestamp for one in backups), found, strict=True))


def read_clusters(store: Store, backups: Sequence[Backup]) -> dict[str, Cluster | None]:
    """The cluster of each backup that has a claim, by timestamp. None if the claim can't be read, or two runs have
    claimed the backup. Raises Unreachable.
    """
    found = read_ownerships(store, [backup for backup in backups if backup.claims])
    return {timestamp: one.claim.cluster if one.claim else None for timestamp, one in found.items()}


def find_deciding_claim(store: Store, prefix: str) -> tuple[ObjectInfo, Claim] | None:
    """The deciding claim of the backup below a prefix, and its object. None if it has none. Raises StorageErrors."""
    return next(_read_claims_at(store, prefix), None)


def _read_claims_at(store: Store, prefix: str) -> Iterator[tuple[ObjectInfo, Claim]]:
    """All claims of the backup below a prefix, the deciding one first."""
    listed = [info for info in store.find(f"{prefix}{FOLDER}claim.") if is_claim(info.key[len(prefix) :])]
    for info in sort_claims(listed):
        try:
            yield info, read_claim(store, info.key)
        except NotFound:
            continue  # it was deleted meanwhile


def require_ours(store: Store, timestamp: str, here: Cluster, note: Callable[[str], None]) -> None:
    """Raises PluginError if another cluster than `here` has claimed the backup of that timestamp, even if `here` has,
    too.

    A backup whose claim may not be read counts as one without a claim; `note` gets a message about it.
    """
    anyway = f"`delete_backup CONFIG {timestamp} --any-cluster`"
    try:
        for _, claim in _read_claims_at(store, backup_prefix(timestamp)):
            if not claim.cluster.is_same(here):
                raise PluginError(_refusal(timestamp, claim.cluster, here, anyway))
    except AccessDenied as error:
        note(f"it is unknown whether another cluster claims {timestamp}: {error}")
    except BadClaim as error:
        message = str(error)
        next_step = "" if anyway in message else f"; {anyway} deletes it nevertheless"
        raise PluginError(f"it is unknown whose the backup {timestamp} is: {message}{next_step}") from error


def _refusal(timestamp: str, theirs: Cluster, here: Cluster, anyway: str) -> str:
    if theirs.name:
        own = f"if this is cluster {theirs.name!r}, set the option `cluster` to {theirs.name}"
    else:
        own = "delete it from that coordinator"
    return f"the backup {timestamp} belongs to {theirs}, and this is {here}; {own}, or run {anyway}"
