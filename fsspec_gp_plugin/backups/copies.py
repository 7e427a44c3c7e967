"""What makes the copy of a backup at another target the same backup: its claim, and what both list."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import AlreadyExists, PluginError
from ..integrity import host_mark, manifest
from ..integrity.claim import BadClaim, is_claim
from ..storage.reading import first_bytes
from .claims import read_claim
from .ownership import claim_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..integrity.claim import Claim
    from ..storage.contract import ObjectInfo, Store


def require_same_claim(source: Store, target: Store, prefix: str) -> tuple[ObjectInfo, Claim] | None:
    """The claim of a backup at the first target, and its object; None where it has none.

    PluginError, naming whose it is, where another run claims the prefix at the replica. StorageErrors.
    """
    ours = claim_at(source, prefix)
    try:
        theirs = claim_at(target, prefix)
    except BadClaim as error:
        raise PluginError(f"nothing tells whose the backup at the replica is: {error}") from error
    if theirs is not None and (ours is None or theirs[1].token != ours[1].token):
        raise _refusal(prefix, theirs[1])
    return ours


def copy_claim(source: Store, target: Store, prefix: str, found: tuple[ObjectInfo, Claim]) -> None:
    """Write the claim of a backup at the replica, only if there is none where its store can do so; PluginError, naming
    whose it is, where another one is there.
    """
    info, claim = found
    data = memoryview(first_bytes(source, info))
    if target.capabilities.creates:
        with suppress(AlreadyExists):  # of a call before this one, or of another run that was faster
            target.create(info.key, data)
    else:
        target.put(info.key, data)
    there = read_claim(target, info.key)
    if there.token != claim.token:
        raise _refusal(prefix, there)


def _refusal(prefix: str, theirs: Claim) -> PluginError:
    return PluginError(
        f"{prefix} at the replica is a backup of {theirs.cluster}; give each cluster a `replica_url` of its own, or "
        "delete that backup"
    )


def copied(listed: Iterable[ObjectInfo], prefix: str) -> Iterator[ObjectInfo]:
    """The objects that a copy has, too: what has been found of those at one target says nothing of those at another."""

    def is_of_it(name: str) -> bool:
        kept = is_claim(name) or host_mark.read(name) is not None or manifest.is_manifest(name)
        return kept or not manifest.is_plugins_own(name)

    return (info for info in listed if is_of_it(info.key[len(prefix) :]))
