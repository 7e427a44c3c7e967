"""What this host knows of the claims of the backups that it restores from: read once, and kept."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .. import keys
from ..backups.claim_reading import ClaimedError, find_claim
from ..errors import AccessDenied, LocalFileError, NotFound
from ..integrity.catalog_files import FETCHED
from ..integrity.claim import BadClaim
from ..integrity.claim_record import read_record, write_record
from ..storage.mirror import MirroredStore
from .restore_source import store_of_backup

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..backups.catalog_build import PluginObjects
    from ..integrity.claim import Claim
    from ..storage.contract import Store
    from .context import Context


def known_claim(context: Context, timestamp: str, purpose: str | None = FETCHED) -> Claim | None:
    """The claim of a backup, by what this host has kept of it or else by the target, which is then kept. None if there
    is none, or it can't be read. `purpose`: "" in a setup hook, None to keep nothing.
    """
    # A restore that was killed may have left a record. The setup hook has replaced it, unless it reads no manifests.
    is_trusted = purpose != "" or context.config.checksum != "off"
    try:
        record = read_record(context.config.place, timestamp) if is_trusted else None
    except LocalFileError as error:
        context.log.verbose(str(error))
        record = None
    if record is not None:
        return record.claim
    store = store_of_backup(context, timestamp)
    claim = context.wait_for(partial(read_readable_claim, store, timestamp, context.log.info))
    if purpose is not None:
        keep_claim(context, timestamp, claim, purpose)
    return claim


def read_listed_claim(store: Store, timestamp: str, found: PluginObjects, note: Callable[[str], None]) -> Claim | None:
    """The claim of a backup whose objects of this plugin are listed. Where a first target has manifests and no claim,
    that of the second: something has lost it. None if there is none, or it can't be read; `note` gets the reason.
    """
    from ..backups.catalog_build import read_only_claim

    if found.manifests and not found.claims and isinstance(store, MirroredStore):
        return read_readable_claim(store, timestamp, note)
    return read_only_claim(store, found.claims, note)


def read_readable_claim(store: Store, timestamp: str, note: Callable[[str], None]) -> Claim | None:
    """The claim of a backup at its targets. None if there is none, or it can't be read; `note` gets the reason."""
    prefix = keys.backup_prefix(timestamp)

    def find(at: Store) -> Claim | None:
        try:
            return find_claim(at, prefix, lambda _: False)
        except NotFound:
            return None
        except (AccessDenied, BadClaim, ClaimedError) as error:
            note(f"the claim of {timestamp} is not used: {error}")
            return None

    return store.find_first(prefix, find) if isinstance(store, MirroredStore) else find(store)


def keep_claim(context: Context, timestamp: str, claim: Claim | None, purpose: str) -> None:
    """Keep what is known of a backup's claim, for the commands after this one. Where that fails, each reads it."""
    try:
        write_record(context.config.place, timestamp, claim, purpose)
    except LocalFileError as error:
        context.log.verbose(str(error))
