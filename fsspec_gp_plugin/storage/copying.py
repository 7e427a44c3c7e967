"""Objects that a store copies by itself, so that their bytes don't travel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from .contract import Store
from .retry import RetryingStore

if TYPE_CHECKING:
    from .contract import ObjectInfo


@runtime_checkable
class CopyingStore(Store, Protocol):
    """A store that can copy from others of its kind."""

    def copy_from(self, source: Store, info: ObjectInfo, key: str) -> ObjectInfo | None:
        """Make an object a copy of another, of `source`, visible whole or not at all; None where it can't be asked to,
        as the other is elsewhere.
        """
        ...


def copied_within(source: Store, target: Store, info: ObjectInfo, key: str) -> ObjectInfo | None:
    """The copy, made by the store itself; None where these two are not at one place. StorageError."""
    if not isinstance(target, RetryingStore) or not isinstance(source, RetryingStore):
        return None
    if not isinstance(target.inner, CopyingStore):
        return None
    inner = target.inner
    return target.patience.run(lambda: inner.copy_from(source.inner, info, key))
