"""Claims at a target: made so that of two runs only one gets a backup's prefix, found by every host, withdrawn."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import AccessDenied, AlreadyExists, NotFound, StorageError, Unreachable
from ..integrity import claim as claims
from ..integrity.manifest import FOLDER
from ..keys import timestamp_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from ..integrity.claim import Claim
    from ..storage.api import ObjectInfo, Store

    # Takes, as text, what is not as it might be, and yet no failure.
    Note = Callable[[str], None]

_LISTED = 1000
_PAUSE_SECONDS = 2.0
# Some stores' listings, and some shares, show what another host has written only after a time.
_LOOKS = 5


class ClaimedError(StorageError):
    """The prefix is another run's."""


def require_free(store: Store, prefix: str, ours: Collection[str], note: Note) -> Claim | None:
    """The claim at the prefix if its token is one of `ours`; None where nothing is there, or listing is denied.

    ClaimedError, naming whose it is, for anything else that is there.
    """
    try:
        listed = list(islice(store.find(prefix), _LISTED))
    except AccessDenied as error:
        note(f"these credentials can't list, so nothing tells whether {prefix} is free: {error}")
        return None
    found = list(_claims(store, prefix, listed))
    if others := [one for one in found if one.token not in ours]:
        raise _refusal(prefix, others[0])
    if not found and listed:
        raise ClaimedError(
            f"{prefix} already holds a backup, which no cluster claims ({min(one.key for one in listed)}); start this "
            "one again, so that it gets another timestamp, or give each cluster a `url` of its own"
        )
    return found[0] if found else None


def claim_prefix(store: Store, prefix: str, claim: Claim, ours: Collection[str], note: Note) -> tuple[Claim, bool]:
    """Write the claim at a prefix that is free; returns it, or the one of `ours` that is there, and whether the store
    has proven that nobody else can have claimed the prefix. ClaimedError, naming whose it is.
    """
    data, key = memoryview(claim.encoded()), prefix + claims.NAME
    if store.capabilities.creates:
        try:
            store.create(key, data)
        except AlreadyExists:
            # Another's, or our own, if an attempt before this one was not answered.
            found = read_claim(store, key)
            if found.token == claim.token or found.token in ours:
                return found, True
            raise _refusal(prefix, found) from None
        except (AccessDenied, NotFound, Unreachable):
            raise
        except StorageError as error:
            note(f"the store can't create an object only if there is none: {error}")
        else:
            try:
                # Stores exist that ignore the condition: only a refusal proves that this one does not.
                store.create(key, data)
            except AlreadyExists:
                return claim, True
            note("the store ignores the condition to create an object only if there is none")
            store.delete([key])
    note(
        f"{prefix} is claimed by best effort: this store can't tell which of two clusters was the first, so give each "
        "cluster a `url` of its own"
    )
    _contend(store, prefix, claim, note)
    return claim, False


def _contend(store: Store, prefix: str, claim: Claim, note: Note) -> None:
    """Write the claim under a name of its own, and see that it has the smallest token."""
    own = prefix + claim.own_name
    store.put(own, memoryview(claim.encoded()))
    for look in range(2):
        if look:
            time.sleep(_PAUSE_SECONDS)
        try:
            listed = list(store.find(prefix + FOLDER))
        except AccessDenied as error:
            note(f"these credentials can't list, so nothing tells whether {prefix} is claimed twice: {error}")
            return
        found = _claims(store, prefix, [info for info in listed if info.key != own])
        first = min(found, key=lambda one: one.token, default=claim)
        if first.token < claim.token:
            store.delete([own])
            raise _refusal(prefix, first)


def require_only_claim(store: Store, prefix: str, token: str) -> None:
    """ClaimedError where another claim lies at the prefix beside that of this token."""
    try:
        others = [one for one in _claims(store, prefix, list(store.find(prefix + FOLDER))) if one.token != token]
    except AccessDenied:
        return  # the setup hook has said so
    if others:
        raise ClaimedError(
            f"{prefix} was also claimed by {others[0].cluster}: the objects of two backups are mixed there, so neither "
            "can be trusted; delete it, and give each cluster a `url` of its own"
        )


def find_claim(store: Store, prefix: str, look_again: Callable[[int], bool]) -> Claim:
    """The one claim at a prefix, looked for again while `look_again`, called with the number of looks, says so.

    NotFound where there is none, ClaimedError where there are two, AccessDenied where it can't be looked for.
    """
    looks = 0
    while True:
        found = _found(store, prefix)
        if len(found) == 1:
            return found[0]
        looks += 1
        if not look_again(looks):
            break
    if not found:
        raise NotFound(f"there is no claim at {prefix}")
    raise ClaimedError(f"{prefix} is claimed by {' and by '.join(str(one.cluster) for one in found[:2])}")


def wait_for_others(looks: int) -> bool:
    """For find_claim(): look five times, a second apart."""
    if looks >= _LOOKS:
        return False
    time.sleep(1)
    return True


def _found(store: Store, prefix: str) -> list[Claim]:
    if store.capabilities.creates:
        try:
            return [read_claim(store, prefix + claims.NAME)]
        except NotFound:
            pass  # it may be claimed by best effort
    return list(_claims(store, prefix, list(store.find(prefix + FOLDER))))


def _claims(store: Store, prefix: str, listed: list[ObjectInfo]) -> Iterator[Claim]:
    for info in listed:
        if claims.is_claim(info.key[len(prefix) :]):
            try:
                yield read_claim(store, info.key)
            except NotFound:
                continue  # withdrawn meanwhile


def read_claim(store: Store, key: str) -> Claim:
    """The claim that an object holds; NotFound, BadClaim and other StorageErrors."""
    buffer = bytearray(claims.LARGEST)
    with memoryview(buffer) as into:
        info, pieces = store.fetch(key, into)
        count = sum(pieces)
    if info.size > claims.LARGEST:
        raise claims.BadClaim(f"{key} has {info.size} bytes: too many for a claim")
    return claims.decoded(key, timestamp_of(key), bytes(buffer[:count]))


def _refusal(prefix: str, other: Claim) -> ClaimedError:
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(other.created / 1e9))
    return ClaimedError(
        f"{prefix} is claimed by {other.cluster} since {since}; start this backup again, so that it gets another "
        "timestamp, or give each cluster a `url` of its own"
    )
