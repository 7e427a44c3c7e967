"""What setup for a restore finds out, once a host: whether all is there that it needs, also of the backups that the
one to be restored builds upon.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from .. import keys
from ..backups.required import read_required
from ..errors import LocalFileError, NotFound
from ..integrity import restore_state
from ..integrity.catalog import Catalog
from ..integrity.catalog_files import purpose_of, remove_outdated
from ..integrity.contents import COORDINATOR
from ..integrity.restore_state import has_catalog
from ..private import NoDirectoryError
from .decrypting import contents_opening, prove_opening, require_claimed_encrypted
from .fetching import Manifests, build_catalog, find_manifests
from .left_to_segments import LeftToSegments, pack, unpack
from .presence import Scope, check, refuse, require_backup, require_tables_of_contents
from .restore_source import store_of_backup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..backups.gpbackup_files import BackupConfig
    from ..backups.required import Required
    from ..storage.contract import Store
    from .context import Context

# gprestore calls the setup hooks of all hosts one right after the other.
_SAME_RESTORE_SECONDS = 60.0
# The hook of a host looks for all objects of a backup of up to so many. Of a larger one, the hooks of the segments do.
_FEW = 10_000
# The hook of a host reads so many manifests as a whole. If there are more, the hooks of the segments read their parts.
_FEW_MANIFESTS = 16


def require_restorable(context: Context, timestamp: str, *, is_coordinator: bool = True) -> None:
    """Fetch what all hosts have noted of a backup, and of those that it builds upon, for the restores on this host to
    compare; and look whether all that they need is at the target, and this host can open it: else NotFound,
    StorageError or ConfigError.
    """
    store = store_of_backup(context, timestamp)
    config, required = _read_required(context, store, timestamp)
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
    _prove_openings(context, timestamp, plan, is_coordinator=is_coordinator)
    if not large:
        with suppress(LocalFileError):
            restore_state.remove_for_segments(context.config.place, timestamp)  # of a restore that was killed
    else:
        _leave_chain(context, timestamp, large)
        context.log.info(
            f"{timestamp}: the hook of each segment looks for its data objects; if the backup is restored onto fewer "
            "segments than it has, the objects of the others are not checked in advance"
        )
    # Of a backup that may lack objects each hook finds out for itself: the next restore may want it whole.
    if note and not context.config.restore_incomplete:
        restore_state.confirm_restore(context.config.place, note)


def _prove_openings(context: Context, timestamp: str, plan: Mapping[str, bool], *, is_coordinator: bool) -> None:
    """Prove that this host opens a backup and those of its plan, each as far as the restore reads it."""
    for one in dict.fromkeys((timestamp, *plan)):
        needs_data = one == timestamp or plan[one]
        if needs_data or is_coordinator:
            prove_opening(context, one, is_coordinator=is_coordinator, needs_data=needs_data)


def _read_required(context: Context, store: Store, timestamp: str) -> tuple[BackupConfig | None, Required]:
    config, required = read_required(store, timestamp, None, cache(partial(contents_opening, context, timestamp)))
    if config is not None and config.is_encrypted:
        require_claimed_encrypted(context, timestamp)
    return config, required


def _leave_chain(context: Context, timestamp: str, chain: list[str]) -> None:
    """Tell the hooks of this host's segments of which backups they check objects."""
    try:
        restore_state.write_for_segments(
            context.config.place, timestamp, "\n".join(chain).encode(), restore_state.CHAIN
        )
    except LocalFileError as error:
        context.log.info(f"{timestamp}: the objects of the segments are not checked: {error}")


def join_confirmed(context: Context, timestamp: str) -> bool:
    """Whether another hook of this host has just found all that a restore of the backup needs, and fetched what is
    compared: then the restore of this hook uses it, too.
    """
    place = context.config.place
    needed = restore_state.read_confirmed(place, timestamp, _SAME_RESTORE_SECONDS)
    if needed is None:
        return False
    if context.config.checksum != "off" and not has_catalog(place, timestamp):
        return False
    restore_state.begin_restore(place, timestamp, needed)
    return True


def _look_at_base(context: Context, timestamp: str) -> list[str]:
    """As _look(), at a backup that another builds upon."""
    store = store_of_backup(context, timestamp)
    require_backup(context, store, keys.backup_prefix(timestamp), timestamp)
    config, required = _read_required(context, store, timestamp)
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
        require_tables_of_contents(store, _read_required(context, store, timestamp)[1], later)


def _look(context: Context, store: Store, required: Required) -> list[str]:
    """Look for what must be there of one backup: all of a small one, of a large one what is the coordinator's. Returns
    its timestamp where the rest is left to the hooks of this host's segments.
    """
    timestamp = required.timestamp
    if required.not_checked:
        context.log.info(f"{timestamp}: the data objects are {required.not_checked}")
    if context.config.checksum == "off":
        return _look_for_some(context, store, required, None, is_small=required.count <= _FEW)
    from ..backups.manifest_reading import know_contents

    manifests = find_manifests(context, timestamp, store, required.segments, purpose="")
    count = max(required.count, manifests.total(timestamp) if manifests is not None else 0)
    is_small = count <= _FEW and (manifests is None or len(manifests.infos) <= _FEW_MANIFESTS)
    if not is_small and manifests is not None and know_contents(manifests.infos, timestamp):
        return _look_for_some(context, store, required, manifests, is_small=False)
    remove_outdated(context.config.place, timestamp, by_content=False, fetched=False)
    with Catalog(context.config.place, timestamp, make=True) as catalog:
        named = build_catalog(context, catalog, timestamp, store, manifests)
        if named is not None:
            context.log.info(f"{timestamp}: the manifests name {named} objects")
        count = max(count, named or 0)
        check(context, store, Scope(timestamp, whole=count <= _FEW), required, catalog)
    if count <= _FEW:
        return []
    _leave(context, LeftToSegments(required, total=count))
    return [timestamp]


def _look_for_some(
    context: Context, store: Store, required: Required, manifests: Manifests | None, *, is_small: bool
) -> list[str]:
    """As _look(), by the manifests' members of the coordinator alone, or without manifests."""
    timestamp = required.timestamp
    scope = Scope(timestamp, whole=is_small)
    if manifests is None:
        check(context, store, scope, required, None)
    else:
        remove_outdated(context.config.place, timestamp, by_content=True, fetched=False)
        with Catalog(context.config.place, timestamp, purpose_of(COORDINATOR), make=True) as catalog:
            build_catalog(context, catalog, timestamp, store, manifests, {COORDINATOR})
            check(context, store, scope, required, catalog)
        if max(required.count, manifests.total(timestamp)) <= _FEW:
            # Also those of segments that this cluster may not have any more.
            check(context, store, Scope(timestamp, whole=True), required, None)
        context.log.info(f"{timestamp}: {len(manifests.infos)} manifests are read by content id")
    if is_small:
        return []
    left = LeftToSegments(required, total=required.count)
    if manifests is not None:
        total, infos = manifests.total(timestamp), manifests.infos
        left = left._replace(total=total, manifests=infos, token=manifests.token)
    _leave(context, left)
    return [timestamp]


def _leave(context: Context, left: LeftToSegments) -> None:
    """Tell the hooks of this host's segments what must be there of a backup, and which backups are left to them."""
    timestamp = left.required.timestamp
    try:
        restore_state.write_for_segments(context.config.place, timestamp, pack(left))
    except LocalFileError as error:
        context.log.info(f"{timestamp}: the objects of the segments are not checked: {error}")


def require_objects(context: Context, timestamp: str, content: str) -> None:
    """What must be there of one content id is at the target, in its full size; else NotFound or StorageError. Only what
    the hook of this host has left to those of its segments.
    """
    try:
        chain = restore_state.read_for_segments(context.config.place, timestamp, restore_state.CHAIN) or b""
        for one in chain.decode().split():
            if (left := restore_state.read_for_segments(context.config.place, one)) is not None:
                _require_content(context, unpack(left), int(content))
    except NoDirectoryError:
        pass  # the hook of this host has left nothing
    except (KeyError, TypeError, ValueError) as error:
        context.log.info(f"{timestamp}: data objects of content {content} are not checked: {error}")


def _require_content(context: Context, left: LeftToSegments, content: int) -> None:
    timestamp, place = left.required.timestamp, context.config.place
    store = store_of_backup(context, timestamp)
    scope = Scope(timestamp, str(content))
    if context.config.checksum == "off":
        check(context, store, scope, left.required, None, left.total)
    elif left.manifests is None:
        with Catalog(place, timestamp) as catalog:
            check(context, store, scope, left.required, catalog, left.total)
    else:
        with Catalog(place, timestamp, purpose_of(content), make=True) as catalog:
            manifests = Manifests(left.manifests, left.token)
            named = build_catalog(context, catalog, timestamp, store, manifests, {content})
            if not named and (content < left.required.segments or left.required.not_checked):
                context.log.warning(
                    f"{timestamp}: what content id {content} stored is restored unverified, as no manifest names it"
                )
            check(context, store, scope, left.required, catalog, left.total)
