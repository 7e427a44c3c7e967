"""Reads gpbackup's config file of a backup, or what a summary says in its place if it is encrypted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..age.header import begins_like_header
from ..keys import backup_prefix
from ..storage.reading import fetch_start, read_rest, split_lines
from .backup_summary import find_summary_of
from .gpbackup_files import BadBackupConfigError, backup_config_name, parse_backup_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..age.opening import Opening
    from ..storage.contract import Store
    from .backup_summary import BackupSummary
    from .gpbackup_files import BackupConfig

_LARGEST = 1 << 30


def read_backup_config(
    store: Store,
    timestamp: str,
    summary: BackupSummary | None = None,
    find_opening: Callable[[], Opening | None] = lambda: None,
) -> BackupConfig:
    """Read gpbackup's config file of a backup. `summary`: that of an encrypted backup, if it was read already;
    `find_opening`: finds out how the file is opened where no summary tells what it says. Raises NotFound, and
    StorageError if the file is damaged, or encrypted without a summary of it and can't be opened.
    """
    key = backup_prefix(timestamp) + backup_config_name(timestamp)
    if summary is None:
        info, first = fetch_start(store, key)
        if not begins_like_header(first):
            if info.size > _LARGEST:
                raise BadBackupConfigError(f"{key} has {info.size} bytes: too many to be gpbackup's config file")
            return parse_backup_config(key, split_lines(read_rest(store, info, first)))
        summary = find_summary_of(store, timestamp)
        if (summary is None or summary.config is None) and (opening := find_opening()) is not None:
            from ..transfer.chunks import open_pieces

            return parse_backup_config(key, split_lines(open_pieces(key, opening, read_rest(store, info, first))))
    if summary is None or summary.config is None:
        raise BadBackupConfigError(f"{key} is encrypted, and no manifest has a summary of it")
    return summary.config
