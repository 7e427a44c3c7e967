"""Finds which backups an incremental backup needs, and which backups can't be restored because one of these is missing.

The report of an incremental backup names the needed backups, as does the restore plan in gpbackup's config file. The
report has been read already; the config file names every table, and is only read if the report doesn't say it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import StorageError, Unreachable
from ..workers import Workers
from .config_reading import read_backup_config
from .gpbackup_files import BadBackupConfigError, backup_config_name, parse_backup_set

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..storage.contract import Store
    from .backup import Backup
    from .backup_summary import BackupSummary

_READ_AT_ONCE = 8
_STATES = {"incomplete": "which gpbackup did not finish", "failed": "which failed according to its report"}


def read_plans(store: Store, backups: Sequence[Backup]) -> dict[str, frozenset[str] | None]:
    """The timestamps of the backups that each finished backup needs which is incremental, or whose report doesn't say
    so, by its timestamp. None if they are unknown. Raises Unreachable.
    """
    finished = [one for one in backups if one.state in ("complete", "unknown") and one.kind in ("incremental", "")]
    incremental = {one.timestamp for one in finished if one.kind == "incremental"}
    with Workers(_READ_AT_ONCE) as pool:
        found = pool.map(lambda one: _read_plan(store, one), finished)
        plans = dict(zip((one.timestamp for one in finished), found, strict=True))
    # An incremental backup needs another one, and every backup needs only earlier ones.
    for timestamp, plan in plans.items():
        if plan is not None and (max(plan, default="") > timestamp or (timestamp in incremental and not plan)):
            plans[timestamp] = None
    return plans


def _read_plan(store: Store, backup: Backup) -> frozenset[str] | None:
    if backup.kind == "incremental" and (needed := parse_backup_set(backup.report, backup.timestamp)) is not None:
        return needed
    try:
        return read_needed(store, backup.timestamp, backup.summary)
    except Unreachable:
        raise
    except StorageError:
        return None


def read_needed(store: Store, timestamp: str, summary: BackupSummary | None = None) -> frozenset[str]:
    """The timestamps of the other backups whose data a restore of this backup needs; empty if it is not incremental.
    `summary`: that of an encrypted backup, if it was read already. Raises NotFound if there is no config file of
    gpbackup's, BadBackupConfigError if it is damaged, or encrypted without a summary.
    """
    plan = read_backup_config(store, timestamp, summary).plan
    if plan is None:  # gpbackup always writes one, if only an empty one
        name = backup_config_name(timestamp)
        raise BadBackupConfigError(f"{name} has no restoreplan: it is damaged, or not gpbackup's config file")
    return frozenset(plan) - {timestamp}


def mark_broken(store: Store, backups: Sequence[Backup]) -> None:
    """Set `broken` of each of all backups at a target. May read gpbackup's config files of incremental backups. Raises
    Unreachable.
    """
    by_timestamp = {backup.timestamp: backup for backup in backups}
    for timestamp, plan in read_plans(store, backups).items():
        reasons = (why_not_restorable(one, by_timestamp.get(one)) for one in sorted(plan or ()))
        by_timestamp[timestamp].broken = next(filter(None, reasons), "")


def why_not_restorable(timestamp: str, needed: Backup | None) -> str:
    """Why a backup that needs the backup of this timestamp can't be restored. "" if it can, by the state of `needed`,
    which is None if it is not at the target.
    """
    if needed is None:
        return f"it needs the backup {timestamp}, which is not at the target"
    return f"it needs the backup {timestamp}, {_STATES[needed.state]}" if needed.state in _STATES else ""
