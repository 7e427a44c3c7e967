"""Writes a claim so that only one of two runs gets a prefix that both want."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import AccessDenied, AlreadyExists, NotFound, StorageError, Unreachable
from ..integrity.claim import NAME, SETTLED
from ..integrity.object_names import FOLDER
from .claim_reading import ClaimedError, read_claim, read_claims, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ..integrity.claim import Claim
    from ..storage.contract import Store

    # Takes a message about something that is no failure.
    Note = Callable[[str], None]

_PAUSE_SECONDS = 2.0


class UnreadableClaimError(ClaimedError):
    """There is a claim that these credentials may not read."""


def claim_prefix(store: Store, prefix: str, claim: Claim, ours: Collection[str], note: Note) -> tuple[Claim, bool]:
    """Write the claim at a free prefix. Returns the claim, or the one of `ours` that is already there, and whether the
    store proves that no other run can have claimed the prefix. Raises ClaimedError, which names the owner.
    """
    data, key = memoryview(claim.encode()), prefix + NAME
    is_ignored = False
    if store.capabilities.creates:
        try:
            store.create(key, data)
        except (AccessDenied, AlreadyExists) as error:
            # The claim of another run, or our own if an earlier attempt got no response.
            found = _read_existing(store, key, error)
            if found.token == claim.token:
                return claim, True
            if found.token in ours:
                return found, True
            raise refusal(prefix, found, claim.cluster) from None
        except (NotFound, Unreachable):
            raise
        except StorageError as error:
            note(f"the store can't create an object only if there is none: {error}")
        else:
            if _refuses_second(store, key, data):
                return claim, True
            is_ignored = True
            note("the store ignores the condition to create an object only if there is none")
            _remove(store, [key], note)
    note(
        f"{prefix} is claimed by best effort: this store can't tell which of two clusters was the first, so give each "
        "cluster a `url` of its own"
    )
    _contend(store, prefix, claim, note, is_ignored=is_ignored)
    return claim, False


def _read_existing(store: Store, key: str, error: StorageError) -> Claim:
    """Read the claim because of which ours was not created. Raises UnreadableClaimError if credentials may not read it,
    and `error` itself if it was a denial and the claim can't be read.
    """
    try:
        return read_claim(store, key)
    except StorageError as second:
        if isinstance(error, AccessDenied):
            raise error from None
        if isinstance(second, AccessDenied):
            raise UnreadableClaimError(
                f"{key} is already there, and these credentials can't read whose claim it is; start this backup again, "
                "so that it gets another timestamp"
            ) from second
        raise


def _refuses_second(store: Store, key: str, data: memoryview) -> bool:
    """Whether the store refuses to create the claim a second time. Some stores ignore the condition: only a refusal,
    with whatever error, proves that this one does not. Raises Unreachable.
    """
    try:
        store.create(key, data)
    except Unreachable:
        raise
    except StorageError:
        return True
    return False


def _contend(store: Store, prefix: str, claim: Claim, note: Note, *, is_ignored: bool) -> None:
    """Write the claim under a name of its own, check that it has the smallest token, and settle it. Raises
    ClaimedError.

    `is_ignored`: the store ignores conditions, so a claim under the name of a proven claim proves nothing.
    """
    own = prefix + claim.own_name
    store.put(own, memoryview(claim.encode()))
    for look in range(2):
        if look:
            time.sleep(_PAUSE_SECONDS)
        try:
            listed = list(store.find(f"{prefix}{FOLDER}claim."))
        except AccessDenied as error:
            note(f"these credentials can't list, so it is unknown whether {prefix} is claimed twice: {error}")
            break
        skipped = {own, prefix + NAME} if is_ignored else {own}
        others = {info.key: info for info in listed if info.key not in skipped}
        settled = [others[name] for name in (prefix + NAME, prefix + SETTLED) if name in others]
        first = next(read_claims(store, prefix, settled), None)
        if first is None:
            found = read_claims(store, prefix, list(others.values()))
            first = min(found, key=lambda one: one.token, default=claim)
            first = first if first.token < claim.token else None
        if first is not None and first.token != claim.token:
            _remove(store, [own], note)
            raise refusal(prefix, first, claim.cluster)
    # Later runs lose against this claim, whatever their token is.
    store.put(prefix + SETTLED, memoryview(claim.encode()))


def _remove(store: Store, keys: list[str], note: Note) -> None:
    try:
        store.delete(keys)
    except Unreachable:
        raise
    except StorageError as error:
        note(f"{keys[0]} can't be removed: {error}")


def withdraw_claim(store: Store, prefix: str, claim: Claim, *, is_written: bool) -> list[str]:
    """The keys to delete to withdraw a run's claim. `is_written`: the claim at the prefix is certainly this one;
    otherwise it may be another run's, and counts only if it can be read and has the same token.
    """
    keys = [prefix + claim.own_name]
    for key in (prefix + NAME, prefix + SETTLED):
        try:
            if is_written or read_claim(store, key).token == claim.token:
                keys.append(key)
        except StorageError:
            continue
    return keys
