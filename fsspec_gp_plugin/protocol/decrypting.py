"""Opens what a restore fetches, where its backup is encrypted, and proves in the hooks that this host can."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from .. import keys
from ..errors import AccessDenied, ConfigError, NotFound, StorageError
from ..integrity.catalog_files import FETCHED
from .known_claims import known_claim
from .restore_source import store_of_backup

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..age.opening import Opening
    from ..integrity.claim import Claim
    from ..storage.contract import Store
    from .context import Context


def opening_of(context: Context, key: str) -> Opening | None:
    """How an object is opened; None if its backup is known not to be encrypted."""
    backup = keys.backup_of_key(key)
    try:
        return _opening_of_backup(context, None if backup is None else backup[0])
    except StorageError as error:
        raise type(error)(f"{key} is not restored, as it is unknown whether it is encrypted: {error}") from error


def openings(context: Context) -> Callable[[str], Opening | None]:
    """The same for many objects: a function of the key, which looks once at each backup and keeps nothing here."""
    of_backup = lru_cache(maxsize=64)(lambda timestamp: _opening_of_backup(context, timestamp, None))

    def find(key: str) -> Opening | None:
        backup = keys.backup_of_key(key)
        return of_backup(None if backup is None else backup[0])

    return find


def _opening_of_backup(context: Context, timestamp: str | None, purpose: str | None = FETCHED) -> Opening | None:
    claim = None if timestamp is None else known_claim(context, timestamp, purpose)
    if claim is not None and claim.encryption is None:
        return None
    from ..backups.backup_keys import make_opening

    return make_opening(context.config, claim)


def contents_opening(context: Context, timestamp: str) -> Opening | None:
    """How the setup hook of a restore opens gpbackup's files, to learn what the restore needs where no summary tells
    it. None if nothing opens them, which is found out later.
    """
    try:
        opening = _opening_of_backup(context, timestamp, None)
    except ConfigError:
        return None
    return opening if opening is not None and opening.identities else None


def require_claimed_encrypted(context: Context, timestamp: str) -> None:
    """Raise StorageError if the claim of a backup, of which gpbackup's config file is encrypted, says that the backup
    is not: its stored bytes would be restored as they are.
    """
    claim = known_claim(context, timestamp, purpose=None)
    if claim is not None and claim.encryption is None:
        raise StorageError(
            f"the backup {timestamp} is encrypted, and its claim says that it is not, so the claim is another one's: "
            "restore from the replica, or decrypt the objects by `decrypt`"
        )


def prove_opening(context: Context, timestamp: str, *, is_coordinator: bool, needs_data: bool = True) -> None:
    """Prove in the setup hook of a host that its identities open a backup: on the coordinator, its table of contents;
    on other hosts, by the recipients in the backup's claim, its table data. `needs_data`: whether the restore reads
    table data of the backup. Raises ConfigError or StorageError.
    """
    # Without data nothing is kept: the hooks of segments would ask for identities that open it.
    claim = known_claim(context, timestamp, purpose="" if needs_data else None)
    if claim is None:
        _require_unclaimed_opens(context, timestamp, is_coordinator=is_coordinator)
    elif claim.encryption is not None and is_coordinator:
        require_contents_open(context, store_of_backup(context, timestamp), claim)
    elif claim.encryption is not None:
        _require_data_opens(context, claim)


def prove_data_opening(context: Context, needed: set[str]) -> None:
    """Prove in the hook of a segment that its host's identities open the table data of these backups, as far as the
    hook of the host has kept their claims.
    """
    from ..integrity.claim_record import read_record

    for timestamp in sorted(needed):
        record = read_record(context.config.place, timestamp)
        if record is not None and record.claim is not None and record.claim.encryption is not None:
            _require_data_opens(context, record.claim)


def require_contents_open(context: Context, store: Store, claim: Claim) -> None:
    """Raise ConfigError or StorageError unless an identity of this host opens an encrypted backup's table of contents,
    whose header is read.
    """
    from ..age.sealing import NoIdentityError

    opening = _made(context, claim)
    start = read_contents_start(store, claim.timestamp)
    if start is None:
        return  # gprestore reads nothing else then
    try:
        _open_contents(opening, claim.timestamp, start)
    except NoIdentityError:
        raise _no_identity(context, claim, with_metadata=True) from None


def _require_unclaimed_opens(context: Context, timestamp: str, *, is_coordinator: bool) -> None:
    """Raise ConfigError if the table of contents of a backup without a claim that can be read is encrypted, and no
    identity of this host opens it.
    """
    from ..age.header import begins_like_header
    from ..age.opening import Opening
    from ..age.sealing import NoIdentityError
    from ..backups.backup_keys import make_opening

    try:
        start = read_contents_start(store_of_backup(context, timestamp), timestamp)
    except AccessDenied:
        return  # nothing tells; gprestore reads that file on the coordinator
    if start is None or not begins_like_header(start):
        return
    context.log.warning(
        f"{timestamp} is encrypted, but no claim that can be read says so: a plain object in place of an encrypted one "
        "would be restored"
    )
    try:
        _open_contents(make_opening(context.config, None) or Opening(()), timestamp, start)
    except NoIdentityError as error:
        if is_coordinator or not context.config.restore_incomplete:
            raise ConfigError(str(error)) from None
        context.log.warning(f"restored all the same, as `restore_incomplete` is on: {error}")


def _contents_key(timestamp: str) -> str:
    return f"{keys.backup_prefix(timestamp)}gpbackup_{timestamp}_toc.yaml"


def read_contents_start(store: Store, timestamp: str) -> bytes | None:
    """The first bytes of the table of contents of a backup, with all of its header; None if there is none."""
    from ..age.header import LARGEST_HEADER
    from ..storage.reading import fetch_small

    try:
        return fetch_small(store, _contents_key(timestamp), LARGEST_HEADER)[1]
    except NotFound:
        return None


def _open_contents(opening: Opening, timestamp: str, start: bytes) -> None:
    """Open the header at the start of a table of contents. Raises DecryptionError, which names its key."""
    from ..age.header import DecryptionError
    from ..transfer.chunks import read_header

    key = _contents_key(timestamp)
    header = read_header(key, start)
    if header is None:
        raise DecryptionError(f"{key} can't be decrypted: it ends within its header")
    opening.find_file_key(key, header)


def _require_data_opens(context: Context, claim: Claim) -> None:
    """Check that an identity of this host belongs to a recipient of table data; refuse the restore if none does."""
    if not _made(context, claim).opens_data:
        if not context.config.restore_incomplete:
            raise _no_identity(context, claim)
        context.log.warning(f"restored all the same, as `restore_incomplete` is on: {_no_identity(context, claim)}")


def _made(context: Context, claim: Claim) -> Opening:
    from ..age.opening import Opening
    from ..backups.backup_keys import make_opening

    if not context.config.encryption_identity_file:
        raise ConfigError(
            f"the backup {claim.timestamp} is encrypted: set `encryption_identity_file` to a file with an identity "
            f"that opens it; it was made for {_recipients(claim)}"
        )
    return make_opening(context.config, claim) or Opening(())


def _no_identity(context: Context, claim: Claim, *, with_metadata: bool = False) -> ConfigError:
    path = context.config.encryption_identity_file
    return ConfigError(
        f"{claim.timestamp}: none of the identities in {path} opens this backup; it was made for "
        f"{_recipients(claim, with_metadata=with_metadata)}"
    )


def _recipients(claim: Claim, *, with_metadata: bool = False) -> str:
    from ..age.opening import name_recipients

    if claim.encryption is None:
        return ""
    further = claim.encryption.metadata_recipients if with_metadata else ()
    return name_recipients(claim.encryption.recipients + further)
