"""Reads claims at a target: whether a prefix is free, and which run owns it. claim_writing.py writes them."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import AccessDenied, NotFound, StorageError
from ..integrity.claim import LARGEST, NAME, SETTLED, BadClaim, is_claim
from ..integrity.claim import decode as decode_claim
from ..integrity.object_names import FOLDER
from ..keys import timestamp_of
from ..storage.reading import fetch_small

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from ..integrity.claim import Claim
    from ..integrity.cluster import Cluster
    from ..storage.contract import ObjectInfo, Store

    # Takes a message about something that is no failure.
    Note = Callable[[str], None]

_LISTED = 1000
# Listings of some stores, and some shares, show only after some time what another host has written.
_LOOKS = 5


class ClaimedError(StorageError):
    """Another run has claimed the prefix."""


def require_free(store: Store, prefix: str, here: Cluster, ours: Collection[str], note: Note) -> Claim | None:
    """The claim at the prefix, if its token is one of `ours`. None if nothing is there, or listing is denied. `here`:
    the cluster that wants the prefix.

    Raises ClaimedError, which names the owner, if anything else is there.
    """
    try:
        listed = list(islice(store.find(prefix), _LISTED))
    except AccessDenied as error:
        note(f"these credentials can't list, so it is unknown whether {prefix} is free: {error}")
        return None
    found = list(read_claims(store, prefix, listed))
    if others := [one for one in found if one.token not in ours]:
        raise refusal(prefix, others[0], here)
    # A claim that is gone by now was withdrawn, or its store ignores conditions and it will be written once more.
    objects = [info.key for info in listed if not is_claim(info.key[len(prefix) :])]
    if not found and objects:
        raise ClaimedError(
            f"{prefix} already holds a backup that no cluster claims ({min(objects)}); start this backup again, so "
            "that it gets another timestamp, or give each cluster a `url` of its own"
        )
    return found[0] if found else None


def require_only_claim(store: Store, prefix: str, token: str) -> None:
    """Raises ClaimedError if the prefix has another claim than the one with this token."""
    try:
        others = [
            one for one in read_claims(store, prefix, list(store.find(f"{prefix}{FOLDER}claim."))) if one.token != token
        ]
    except AccessDenied:
        return  # the setup hook has reported it
    if others:
        raise ClaimedError(
            f"{prefix} was also claimed by {others[0].cluster}: the objects of two backups are mixed there, so neither "
            "can be trusted; delete it, and give each cluster a `url` of its own"
        )


def find_claim(store: Store, prefix: str, look_again: Callable[[int], bool]) -> Claim:
    """The only claim at a prefix. Looks again while `look_again`, called with the number of looks, returns true.

    Raises NotFound if there is none, ClaimedError if there are two, AccessDenied if it can't be read.
    """
    looks = 0
    while True:
        found = _read_all(store, prefix)
        if len(found) == 1:
            return found[0]
        looks += 1
        if not look_again(looks):
            break
    if not found:
        raise NotFound(f"there is no claim at {prefix}")
    raise ClaimedError(f"{prefix} is claimed by {' and by '.join(str(one.cluster) for one in found[:2])}")


def wait_for_others(looks: int) -> bool:
    """The `look_again` of find_claim() that looks five times, a second apart."""
    if looks >= _LOOKS:
        return False
    time.sleep(1)
    return True


def _read_all(store: Store, prefix: str) -> list[Claim]:
    if store.capabilities.creates:
        try:
            return [read_claim(store, prefix + NAME)]
        except NotFound:
            pass  # the claim may be by best effort
    try:
        return list(read_claims(store, prefix, list(store.find(f"{prefix}{FOLDER}claim."))))
    except AccessDenied as error:
        try:
            return [read_claim(store, prefix + SETTLED)]
        except StorageError:
            raise error from None


def read_claims(store: Store, prefix: str, listed: list[ObjectInfo]) -> Iterator[Claim]:
    """The claims among the listed objects, each token once."""
    tokens = set()
    for info in listed:
        if is_claim(info.key[len(prefix) :]):
            try:
                found = read_claim(store, info.key)
            except NotFound:
                continue  # it was withdrawn meanwhile
            if found.token not in tokens:
                tokens.add(found.token)
                yield found


def read_claim(store: Store, key: str) -> Claim:
    """Read the claim in an object. Raises NotFound, BadClaim and other StorageErrors."""
    info, data = fetch_small(store, key, LARGEST)
    if info.size > LARGEST:
        raise BadClaim(f"{key} has {info.size} bytes: too many for a claim")
    return decode_claim(key, timestamp_of(key), data)


def refusal(prefix: str, other: Claim, here: Cluster) -> ClaimedError:
    """The error that another run has claimed the prefix. `other`: its claim."""
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(other.created / 1e9))
    if other.cluster == here:
        return ClaimedError(
            f"{prefix} was claimed on {since} by an earlier call for this cluster that this host does not know; "
            f"if no backup {other.timestamp} runs, `cleanup CONFIG --run {other.timestamp} --yes` releases it"
        )
    return ClaimedError(
        f"{prefix} is claimed by {other.cluster} since {since}; start this backup again, so that it gets another "
        "timestamp, or give each cluster a `url` of its own"
    )
