"""What a restore of an incremental backup needs beside it, by gpbackup's own record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import StorageError, Unreachable
from ..workers import Workers
from . import gpbackup_config
from .gpbackup_config import BadRecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..storage.contract import Store
    from .survey import Backup

_RECORDS_AT_ONCE = 8


def plans_of(store: Store, backups: Sequence[Backup]) -> dict[str, frozenset[str] | None]:
    """What is needed by those finished backups that are incremental, or whose report doesn't tell: by timestamp.

    None where that can't be told. Unreachable.
    """
    finished = [one for one in backups if one.state in ("complete", "unknown")]
    asked = [one.timestamp for one in finished if one.kind in ("incremental", "")]
    incremental = {one.timestamp for one in backups if one.kind == "incremental"}
    with Workers(_RECORDS_AT_ONCE) as pool:
        found = dict(zip(asked, pool.map(lambda timestamp: _plan(store, timestamp), asked), strict=True))
    # An incremental one needs another, and a backup only needs what was there before it.
    for timestamp, plan in found.items():
        if plan is not None and (max(plan, default="") > timestamp or (timestamp in incremental and not plan)):
            found[timestamp] = None
    return found


def _plan(store: Store, timestamp: str) -> frozenset[str] | None:
    try:
        return needed(store, timestamp)
    except Unreachable:
        raise
    except StorageError:
        return None


def needed(store: Store, timestamp: str) -> frozenset[str]:
    """The timestamps of the other backups whose data a restore of that one needs: none of one that is not incremental.

    NotFound where there is no record, BadRecordError where it can't be right.
    """
    plan = gpbackup_config.read(store, timestamp).plan
    if plan is None:  # gpbackup writes one in any case, an empty one as well
        name = gpbackup_config.name_of(timestamp)
        raise BadRecordError(f"{name} has no restoreplan: it is damaged, or not gpbackup's record")
    return frozenset(plan) - {timestamp}
