"""Deleting one backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backups import deletion

if TYPE_CHECKING:
    from .context import Context


def delete_backup(context: Context, timestamp: str) -> None:
    """Delete exactly the backup of that timestamp. One that is gone already is no error."""
    count, kept = deletion.delete_backup(context.store, context.config.place, timestamp, context.log.info)
    if kept:
        context.log.warning(f"{timestamp}: {kept}")
    context.done(f"{timestamp}, {count} objects")
