"""Single files of a backup: metadata, tables of contents, reports."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import keys
from .claiming import require_not_refused
from .comparing import log_note, read_expected
from .journaling import store_and_journal
from .restore_source import store_of_object

if TYPE_CHECKING:
    from ..storage.contract import ObjectInfo
    from ..transfer.upload import UploadSettings
    from .context import Context


def backup_file(context: Context, path: str) -> None:
    """Store a local file, which stays where it is: gpbackup goes on with it."""
    key = keys.object_key(path)
    require_not_refused(context, path)
    sent = store_and_journal(context, key, lambda: send_file(context, path, key))
    context.log_success(key, sent.size, sent.crc32c)


def send_file(context: Context, path: str, key: str, settings: UploadSettings | None = None) -> ObjectInfo:
    """Store a local file; of gpbackup's copy of the plugin's configuration only what may be shown."""
    if not keys.is_plugin_config(key):
        return context.send_file(path, key, settings)
    from ..config.loading import read_config
    from ..config.stored_copy import stored_copy

    # In memory: there may be no directory for temporary files.
    with open(os.memfd_create("configuration", os.MFD_CLOEXEC), "w+b") as file:
        file.write(stored_copy(read_config(path)).encode("utf-8", "surrogateescape"))
        file.seek(0)
        return context.send(file.fileno(), key, settings)


def restore_file(context: Context, path: str) -> None:
    """Fetch a file to its local path, whole or not at all."""
    key = keys.object_key(path)
    wanted = read_expected(context, key)
    store = store_of_object(context, key)
    fetched = context.fetch_file(store, key, path, expected=wanted)
    context.log_success(key, fetched.size, fetched.crc32c, log_note(context, wanted))
