"""Writing a claim, so that of two runs which want one prefix only one gets it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import AccessDenied, AlreadyExists, NotFound, StorageError, Unreachable
from ..integrity.claim import NAME, SETTLED
from ..integrity.manifest import FOLDER
from .claims import ClaimedError, claims_among, read_claim, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ..integrity.claim import Claim
    from ..storage.contract import Store

    # Takes, as text, what is not as it might be, and yet no failure.
    Note = Callable[[str], None]

_PAUSE_SECONDS = 2.0


class UnreadableClaimError(ClaimedError):
    """There is a claim, and nothing tells whose."""


def claim_prefix(store: Store, prefix: str, claim: Claim, ours: Collection[str], note: Note) -> tuple[Claim, bool]:
    """Write the claim at a prefix that is free; returns it, or the one of `ours` that is there, and whether the store
    has proven that nobody else can have claimed the prefix. ClaimedError, naming whose it is.
    """
    data, key = memoryview(claim.encoded()), prefix + NAME
    is_ignored = False
    if store.capabilities.creates:
        try:
            store.create(key, data)
        except (AccessDenied, AlreadyExists) as error:
            # Another's, or our own, if an attempt before this one was not answered.
            found = _there(store, key, error)
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
            if _is_refused(store, key, data):
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


def _there(store: Store, key: str, error: StorageError) -> Claim:
    """The claim that has kept ours from being created; UnreadableClaimError where credentials may not read it. What
    can't be read after a denial is the denial.
    """
    try:
        return read_claim(store, key)
    except StorageError as second:
        if isinstance(error, AccessDenied):
            raise error from None
        if isinstance(second, AccessDenied):
            raise UnreadableClaimError(
                f"{key} is there already, and these credentials can't read whose claim it is; start this backup again, "
                "so that it gets another timestamp"
            ) from second
        raise


def _is_refused(store: Store, key: str, data: memoryview) -> bool:
    """Whether the store refuses to create the claim a second time. Stores exist that ignore the condition: only a
    refusal proves that this one does not, whatever it calls it. Unreachable.
    """
    try:
        store.create(key, data)
    except Unreachable:
        raise
    except StorageError:
        return True
    return False


def _contend(store: Store, prefix: str, claim: Claim, note: Note, *, is_ignored: bool) -> None:
    """Write the claim under a name of its own, see that it has the smallest token, and settle it; ClaimedError.

    `is_ignored`: the store ignores conditions, so an object of the name of a proven claim says nothing.
    """
    own = prefix + claim.own_name
    store.put(own, memoryview(claim.encoded()))
    for look in range(2):
        if look:
            time.sleep(_PAUSE_SECONDS)
        try:
            listed = list(store.find(prefix + FOLDER))
        except AccessDenied as error:
            note(f"these credentials can't list, so nothing tells whether {prefix} is claimed twice: {error}")
            break
        passed = {own, prefix + NAME} if is_ignored else {own}
        others = {info.key: info for info in listed if info.key not in passed}
        settled = [others[name] for name in (prefix + NAME, prefix + SETTLED) if name in others]
        first = next(claims_among(store, prefix, settled), None)
        if first is None:
            found = claims_among(store, prefix, list(others.values()))
            first = min(found, key=lambda one: one.token, default=claim)
            first = first if first.token < claim.token else None
        if first is not None and first.token != claim.token:
            _remove(store, [own], note)
            raise refusal(prefix, first, claim.cluster)
    # Whoever comes later loses against it, whatever their token.
    store.put(prefix + SETTLED, memoryview(claim.encoded()))


def _remove(store: Store, keys: list[str], note: Note) -> None:
    try:
        store.delete(keys)
    except Unreachable:
        raise
    except StorageError as error:
        note(f"{keys[0]} stays behind: {error}")


def withdraw_claim(store: Store, prefix: str, claim: Claim, *, is_written: bool) -> list[str]:
    """The keys to delete where a run takes its claim back. `is_written`: it is certain that the claim is this one; else
    only an object that is read and has its token counts, as it may be another's.
    """
    keys = [prefix + claim.own_name]
    for key in (prefix + NAME, prefix + SETTLED):
        try:
            if is_written or read_claim(store, key).token == claim.token:
                keys.append(key)
        except StorageError:
            continue
    return keys
