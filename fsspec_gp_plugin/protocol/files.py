"""Single files of a backup: metadata, tables of contents, reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import keys
from .records import expected, recorded, verdict

if TYPE_CHECKING:
    from .context import Context


def backup_file(context: Context, path: str) -> None:
    """Store a local file, which stays where it is: gpbackup goes on with it."""
    key = keys.object_key(path)
    sent = recorded(context, key, lambda: context.send_file(path, key))
    context.done(key, sent.size, sent.crc32c)


def restore_file(context: Context, path: str) -> None:
    """Fetch a file to its local path, whole or not at all."""
    key = keys.object_key(path)
    wanted = expected(context, key)
    fetched = context.fetch_file(key, path, expected=wanted)
    context.done(key, fetched.size, fetched.crc32c, verdict(context, wanted))
