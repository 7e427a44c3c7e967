"""What setup for a restore finds out, once a host: whether all is there that it needs, also of the backups that the
one to be restored builds upon.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import keys
from ..backups.required import pack, read_required, unpack
from ..errors import LocalFileError, NotFound
from ..integrity import restore_state
from ..private import NoDirectoryError
from .fetching import build_catalog
from .presence import Scope, check, refuse, require_backup, require_tables_of_contents
from .restore_source import store_of_backup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..backups.gpbackup_files import BackupConfig
    from ..backups.required import Required
    from ..integrity.catalog import Catalog
    from ..storage.contract import Store
    from .context import Context

# gprestore calls the setup hooks of all hosts one right after the other.
_SAME_RESTORE_SECONDS = 60.0
# So many objects are listed by the coordinator's hook; of a larger backup each segment's lists its own.
_FEW = 10_000


def require_restorable(context: Context, timestamp: str) -> None:
    """Fetch what all hosts have noted of a backup, and of those that it builds upon, for the restores on this host to
    compare; and look whether all that they need is at the target: else NotFound or StorageError.
    """
    from ..integrity import restore_state

    store = store_of_backup(context, timestamp)
    config, required = read_required(store, timestamp)
    plan = (config and config.plan) or {}
    _warn_of_failure(context, timestamp, config)
    earlier = [one for one in plan if one != timestamp]
    note = ""
    try:
        note = restore_state.begin_restore(context.config.place, timestamp, [timestamp, *earlier])
    except LocalFileError:
        if context.config.checksum != "off":
            raise
    large = []
    for one in earlier:
        # A restore of a table that needs it would fail later, where gprestore hangs.
        try:
            if plan[one]:
                large += _look_at_base(context, one)
            else:
                _require_contents(
                    context, one, timestamp, single_data_file=config is not None and config.single_data_file
                )
        except NotFound as error:
            refuse(context, error)
    large += _look(context, store, required)
    if not large:
        with suppress(LocalFileError):
            restore_state.remove_for_segments(context.config.place, timestamp)  # of a restore that was killed
    else:
        _leave(context, required, large)
        context.log.info(
            f"{timestamp}: data objects are looked for by the hook of each segment; restored onto fewer segments than "
            "there were, those of the others are not checked"
        )
    # Of a backup that may lack objects each hook finds out for itself: the next restore may want it whole.
    if note and not context.config.restore_incomplete:
        restore_state.confirm_restore(context.config.place, note)


def join_confirmed(context: Context, timestamp: str) -> bool:
    """Whether another hook of this host has just found all that a restore of the backup needs, and fetched what is
    compared: then the restore of this hook uses it, too.
    """
    from ..integrity import restore_state
    from ..integrity.catalog import Catalog

    place = context.config.place
    needed = restore_state.read_confirmed(place, timestamp, _SAME_RESTORE_SECONDS)
    if needed is None:
        return False
    if context.config.checksum != "off":
        with Catalog(place, timestamp) as catalog:
            if not catalog.exists():
                return False
    restore_state.begin_restore(place, timestamp, needed)
    return True


def _look_at_base(context: Context, timestamp: str) -> list[str]:
    """As _look(), at a backup that another builds upon."""
    store = store_of_backup(context, timestamp)
    require_backup(context, store, keys.backup_prefix(timestamp), timestamp)
    config, required = read_required(store, timestamp)
    _warn_of_failure(context, timestamp, config)
    # Of the coordinator's files gprestore reads its table of contents alone.
    return _look(context, store, replace(required, files=()))


def _warn_of_failure(context: Context, timestamp: str, config: BackupConfig | None) -> None:
    """Say it where gpbackup's record calls a backup failed: gprestore does not ask, and the report may not say so."""
    if config is not None and config.has_failed:
        context.log.warning(f"gpbackup's own record says that the backup {timestamp} failed; it is restored anyway")


def _require_contents(context: Context, timestamp: str, later: str, *, single_data_file: bool) -> None:
    """Require what gprestore reads of a backup that a later one builds upon and whose data it does not need: its table
    of contents and, with a single data file, those of its segments. Raises NotFound.
    """
    store = store_of_backup(context, timestamp)
    try:
        store.stat(f"{keys.backup_prefix(timestamp)}gpbackup_{timestamp}_toc.yaml")
    except NotFound as error:
        raise NotFound(f"{error}, which the restore of {later}, an incremental backup, reads") from error
    if single_data_file:
        require_tables_of_contents(store, read_required(store, timestamp)[1], later)


def _look(context: Context, store: Store, required: Required) -> list[str]:
    """Look for what must be there of one backup: all of a small one, of a large one what is the coordinator's. Returns
    its timestamp where the rest is left to the hooks of this host's segments.
    """
    timestamp = required.timestamp
    if required.not_checked:
        context.log.info(f"{timestamp}: the data objects are {required.not_checked}")
    with _manifests(context, timestamp, store) as (catalog, count):
        # What is gone would only be missed much later, where gprestore hangs.
        whole = max(count, required.count) <= _FEW or not store.capabilities.lists_by_prefix
        check(context, store, Scope(timestamp, whole=whole), required, catalog)
    if whole:
        return []
    _leave(context, required, [])
    return [timestamp]


def _leave(context: Context, required: Required, large: list[str]) -> None:
    """Tell the hooks of this host's segments what must be there of a backup, and which backups are left to them."""
    try:
        restore_state.write_for_segments(context.config.place, required.timestamp, pack(required, large))
    except LocalFileError as error:
        context.log.info(f"{required.timestamp}: the objects of the segments are not checked: {error}")


@contextmanager
def _manifests(context: Context, timestamp: str, store: Store) -> Iterator[tuple[Catalog | None, int]]:
    """The catalog of a backup's manifests, and how many objects they name; None where they are not looked at."""
    if context.config.checksum == "off":
        yield None, 0
        return
    from ..integrity.catalog import Catalog

    with Catalog(context.config.place, timestamp, make=True) as catalog:
        count = build_catalog(context, catalog, timestamp, store)
        if count is not None:
            context.log.info(f"{timestamp}: the manifests name {count} objects")
        yield catalog, count or 0


def require_objects(context: Context, timestamp: str, content: str) -> None:
    """What must be there of one content id is at the target, in its full size; else NotFound or StorageError. Only what
    the hook of this host has left to those of its segments.
    """
    try:
        kept = restore_state.read_for_segments(context.config.place, timestamp)
        for one in () if kept is None else unpack(kept)[1]:
            if (left := restore_state.read_for_segments(context.config.place, one)) is not None:
                _require_content(context, unpack(left)[0], content)
    except NoDirectoryError:
        pass  # the hook of this host has left nothing
    except (KeyError, ValueError) as error:
        context.log.info(f"{timestamp}: data objects of content {content} are not checked: {error}")


def _require_content(context: Context, required: Required, content: str) -> None:
    from ..integrity.catalog import Catalog

    store = store_of_backup(context, required.timestamp)
    scope = Scope(required.timestamp, content)
    if context.config.checksum == "off":
        check(context, store, scope, required, None)
        return
    with Catalog(context.config.place, required.timestamp) as catalog:
        check(context, store, scope, required, catalog)
