"""Incremental backups whose restore needs a backup that is gone, or that gpbackup did not finish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .plans import plans_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..storage.contract import Store
    from .survey import Backup

_STATES = {"incomplete": "which gpbackup did not finish", "failed": "which failed by its report"}


def find_broken(store: Store, backups: Sequence[Backup]) -> None:
    """Set `broken` of each of all backups at a target. Reads the records of incremental ones. Unreachable."""
    known = {backup.timestamp: backup for backup in backups}
    for timestamp, plan in plans_of(store, backups).items():
        reasons = (why_not(one, known.get(one)) for one in sorted(plan or ()))
        known[timestamp].broken = next(filter(None, reasons), "")


def why_not(timestamp: str, found: Backup | None) -> str:
    """Why a backup that needs this one can't be restored, as text; "" where it can, as far as its state tells."""
    if found is None:
        return f"it needs the backup {timestamp}, which is not at the target"
    return f"it needs the backup {timestamp}, {_STATES[found.state]}" if found.state in _STATES else ""
