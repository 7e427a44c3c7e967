"""Deleting one backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backups import backup_deletion
from ..backups.ownership import require_ours
from ..commands import ANY_CLUSTER
from ..errors import UsageError
from ..integrity.cluster import cluster_here

if TYPE_CHECKING:
    from .context import Context


def delete_backup(context: Context, timestamp: str, option: str = "") -> None:
    """Delete exactly the backup of that timestamp. One that is gone already is no error; one that another cluster
    claims is, unless the option is `--any-cluster`.
    """
    if option not in ("", ANY_CLUSTER):
        raise UsageError(f"delete_backup has no option {option!r}; it knows {ANY_CLUSTER}")
    store, config = context.store, context.config
    if not option:
        require_ours(
            store, timestamp, cluster_here(config.cluster, config.pgport, context.environment), context.log.info
        )
    count, kept = backup_deletion.delete_backup(store, config.place, timestamp, context.log.info)
    if kept:
        context.log.warning(f"{timestamp}: {kept}")
    context.log_success(f"{timestamp}, {count} objects")
