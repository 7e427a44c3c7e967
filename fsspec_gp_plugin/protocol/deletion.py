"""Deleting one backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import keys
from ..backups.deletion import delete_all
from ..errors import StorageError
from .records import forget

if TYPE_CHECKING:
    from .context import Context


def delete_backup(context: Context, timestamp: str) -> None:
    """Delete exactly the backup of that timestamp. One that is gone already is no error."""
    prefix = keys.backup_prefix(timestamp)
    count = delete_all(context.store, prefix, context.log.info)
    forget(context, timestamp)
    try:
        if context.store.keeps_versions(prefix):
            context.log.warning(
                f"{timestamp}: the store retains versions of its objects (versioning, object lock or a retention rule)"
            )
    except StorageError as error:
        context.log.verbose(f"nothing tells whether versions of {timestamp} are retained: {error}")
    context.done(f"{timestamp}, {count} objects")
