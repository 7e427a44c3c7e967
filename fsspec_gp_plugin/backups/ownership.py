"""Whose backups are: their claims, read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import StorageError, Unreachable
from ..integrity.claim import NAME
from .claims import read_claim

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..integrity.claim import Claim
    from ..storage.api import ObjectInfo, Store
    from .survey import Backup

_CLAIMS_AT_ONCE = 8
# More than two tell nothing more than that the prefix is not one run's alone.
_READ = 2


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
        if len(self.claims) < _READ:
            return ""
        first, second = self.claims[:_READ]
        return f"two runs have claimed it, of which nothing tells the objects apart: {first.cluster}, {second.cluster}"


def by_weight(listed: Iterable[ObjectInfo]) -> list[ObjectInfo]:
    """The claims of one backup, that which counts first: the one which the store created only because there was none,
    else that of the smallest token, which its name tells.
    """
    return sorted(listed, key=lambda info: (not info.key.endswith(NAME), info.key))


def ownership_of(store: Store, backup: Backup) -> Ownership:
    """Read a backup's claims. Unreachable."""
    found = []
    for info in by_weight(backup.claims)[:_READ]:
        try:
            found.append(read_claim(store, info.key))
        except Unreachable:
            raise
        except StorageError as error:
            return Ownership(tuple(found), f"its claim can't be read: {error}")
    return Ownership(tuple(found))


def ownerships(store: Store, backups: Sequence[Backup]) -> dict[str, Ownership]:
    """Read the claims of backups, by timestamp. Unreachable."""
    with ThreadPoolExecutor(_CLAIMS_AT_ONCE) as pool:
        found = pool.map(lambda one: ownership_of(store, one), backups)
        return dict(zip((one.timestamp for one in backups), found, strict=True))
