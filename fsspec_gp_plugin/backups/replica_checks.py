"""Checks that the replica is another place than the primary, and that its backup is a copy of the primary's.

One place may have many names, and a mount may be missing. So different marks are put under one key at both targets.
Only if each target returns its own mark, they are two places.
"""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..errors import AccessDenied, AlreadyExists, ConfigError, NotFound, PluginError, StorageError
from ..integrity import marks
from ..integrity.claim import BadClaim, is_claim
from ..integrity.object_names import is_manifest, is_plugins_own
from ..storage.reading import fetch_small, read_start
from .claim_reading import read_claim
from .ownership import find_deciding_claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..integrity.claim import Claim
    from ..storage.contract import ObjectInfo, Store

# Each target must return its own mark so often in a row: a cache or a gateway may return what it was just given.
_IN_A_ROW = 3
# A store may show what was written only after a time.
_LOOKS = 6
_PAUSE_SECONDS = 0.3


@contextmanager
def check_targets_differ(
    primary: Store, replica: Store, prefix: str, note: Callable[[str], None]
) -> Iterator[StorageError | None]:
    """Yields None if the two targets are proven to be two places, otherwise why that can't be proven. Until the end of
    the context a mark lies at the replica, so `cleanup` sees that the copying goes on. `note` gets messages.

    Raises ConfigError if they are one place, StorageError if the replica can't be written.
    """
    key = prefix + marks.new_copy_mark()
    at_primary, at_replica = (f"beside a backup at the {name}: {secrets.token_hex(16)}\n".encode() for name in _NAMES)
    try:
        replica.put(key, memoryview(at_replica))
        may_be_at_primary = True
        try:
            doubt: StorageError | None = None
            try:
                primary.put(key, memoryview(at_primary))
            except StorageError as error:
                may_be_at_primary = not isinstance(error, AccessDenied)
                _compare_once(primary, replica, key, at_primary, at_replica)  # raises if they are one place
                doubt = error
            else:
                doubt = _find_doubt(primary, replica, key, at_primary, at_replica)
        finally:
            if may_be_at_primary:
                _remove(primary, key, note)
        yield doubt
    finally:
        _remove(replica, key, note)


_NAMES = ("primary", "replica")


def _find_doubt(primary: Store, replica: Store, key: str, at_primary: bytes, at_replica: bytes) -> StorageError | None:
    """Why it can't be proven that they are two places. None if it is proven. Raises ConfigError if they are one."""
    in_a_row = 0
    doubt: StorageError | None = None
    for look in range(_LOOKS):
        if look:
            time.sleep(_PAUSE_SECONDS)
        doubt = _compare_once(primary, replica, key, at_primary, at_replica)
        in_a_row = 0 if doubt else in_a_row + 1
        if in_a_row == _IN_A_ROW:
            return None
        if doubt and not isinstance(doubt, NotFound):
            return doubt
    return doubt or StorageError(f"{key} is there in one moment and not in another")


def _compare_once(
    primary: Store, replica: Store, key: str, at_primary: bytes, at_replica: bytes
) -> StorageError | None:
    """Read the mark once at each target."""
    doubt: StorageError | None = None
    for name, store, own, other in zip(
        _NAMES, (primary, replica), (at_primary, at_replica), (at_replica, at_primary), strict=True
    ):
        try:
            _, found = fetch_small(store, key, len(own) + len(other))
        except StorageError as error:
            doubt = doubt or error
            continue
        if found == other:
            raise ConfigError("option 'replica_url' is the same place as `url`, by another name; set another place")
        if found != own:
            doubt = doubt or StorageError(f"the {name} does not give back {key} as it was written")
    return doubt


def _remove(store: Store, key: str, note: Callable[[str], None]) -> None:
    try:
        store.delete([key])
    except StorageError as error:
        note(f"{key} can't be removed: {error}")


def require_same_claim(primary: Store, replica: Store, prefix: str) -> tuple[ObjectInfo, Claim] | None:
    """The claim of a backup at the primary, and its object. None if it has no claim.

    Raises PluginError, which names the cluster, if another run has claimed the prefix at the replica; StorageErrors.
    """
    ours = find_deciding_claim(primary, prefix)
    try:
        theirs = find_deciding_claim(replica, prefix)
    except BadClaim as error:
        raise PluginError(f"it is unknown whose the backup at the replica is: {error}") from error
    if theirs is not None and (ours is None or theirs[1].token != ours[1].token):
        raise _refusal(prefix, theirs[1])
    return ours


def copy_claim(primary: Store, replica: Store, prefix: str, source: tuple[ObjectInfo, Claim]) -> None:
    """Write the claim of a backup at the replica; only if there is none, if the store can do so. Raises PluginError,
    which names the cluster, if another claim is there.
    """
    info, claim = source
    data = memoryview(read_start(primary, info))
    if replica.capabilities.creates:
        with suppress(AlreadyExists):  # of an earlier call, or of another run that was faster
            replica.create(info.key, data)
    else:
        replica.put(info.key, data)
    written = read_claim(replica, info.key)
    if written.token != claim.token:
        raise _refusal(prefix, written)


def _refusal(prefix: str, theirs: Claim) -> PluginError:
    return PluginError(
        f"{prefix} at the replica is a backup of {theirs.cluster}; give each cluster a `replica_url` of its own, or "
        "delete that backup"
    )


def objects_to_copy(listed: Iterable[ObjectInfo], prefix: str) -> Iterator[ObjectInfo]:
    """The listed objects that a copy has, too. Verification results belong to one target only."""

    def is_copied(name: str) -> bool:
        is_proof = is_claim(name) or marks.parse_host_mark(name) is not None or is_manifest(name)
        return is_proof or not is_plugins_own(name)

    return (info for info in listed if is_copied(info.key[len(prefix) :]))
