"""Table data, by standard input and output, and single files: metadata, tables of contents, reports."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from .. import keys
from ..errors import ConfigError, LocalFileError
from ..transfer.ranged_read import parse_offsets
from .claiming import require_not_refused
from .comparing import log_note, read_expected
from .decrypting import opening_of
from .journaling import note_for_summary, store_and_journal
from .restore_source import store_of_object

if TYPE_CHECKING:
    from ..storage.contract import ObjectInfo
    from ..transfer.upload import UploadSettings
    from .context import Context


def backup_data(context: Context, path: str) -> None:
    """Store standard input as the object of that path."""
    key = keys.object_key(path)
    _require_storable(context, path)
    sent = store_and_journal(context, key, partial(context.send, context.streams.stdin, key))
    context.log_success(key, sent.size, sent.crc32c)


def restore_data(context: Context, path: str) -> None:
    """Write the object of that path to standard output."""
    key = keys.object_key(path)
    wanted, opening = read_expected(context, key), opening_of(context, key)
    store = store_of_object(context, key)
    written = context.download(store, context.streams.stdout, opening=opening).write_whole(key, wanted)
    context.log_success(key, written.size, written.crc32c, log_note(context, wanted))


def restore_data_subset(context: Context, path: str, offsets_path: str) -> None:
    """Write those byte ranges of the object that the offsets file names, in its order."""
    key = keys.object_key(path)
    try:
        with open(offsets_path, encoding="ascii", errors="replace") as file:
            ranges = parse_offsets(file.read())
    except OSError as error:
        raise LocalFileError(f"can't read the offsets file {offsets_path}: {error.strerror}") from error
    wanted, opening = read_expected(context, key), opening_of(context, key)
    store = store_of_object(context, key)
    written = context.download(store, context.streams.stdout, opening=opening).write_ranges(key, ranges, wanted)
    context.log_success(f"{key}, {len(ranges)} ranges", written.size)


def backup_file(context: Context, path: str) -> None:
    """Store a local file, which stays where it is: gpbackup needs it."""
    key = keys.object_key(path)
    _require_storable(context, path)
    sent = store_and_journal(context, key, partial(send_file, context, path, key))
    note_for_summary(context, path, key)
    context.log_success(key, sent.size, sent.crc32c)


def send_file(context: Context, path: str, key: str, settings: UploadSettings | None = None) -> ObjectInfo:
    """Store a local file; gpbackup's copy of the plugin's configuration without its secrets."""
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
    wanted, opening = read_expected(context, key), opening_of(context, key)
    store = store_of_object(context, key)
    fetched = context.fetch_file(store, key, path, expected=wanted, opening=opening)
    context.log_success(key, fetched.size, fetched.crc32c, log_note(context, wanted))


def _require_storable(context: Context, path: str) -> None:
    """Raise StorageError for an object of a run whose setup hook has not succeeded on this host, and ConfigError if it
    would be stored plain in an encrypted backup.
    """
    run = require_not_refused(context, path)
    if run is not None and run.encryption is not None and not context.config.encryption_recipients:
        raise ConfigError(
            "option 'encryption_recipients' is not set, but it was for this backup's setup hook on this host; all "
            "commands of a backup need the same configuration"
        )
