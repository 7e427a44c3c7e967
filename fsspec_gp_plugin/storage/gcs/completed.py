"""Objects of uploads that may have been completed by a request whose answer got lost."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ...errors import AccessDenied, NotFound, StorageError

if TYPE_CHECKING:
    from ..contract import ObjectInfo
    from .store import GcsStore


def find_completed(store: GcsStore, key: str, size: int, crc: int | None) -> ObjectInfo | None:
    """The object, where it has the size in bytes and the CRC-32C of what was sent."""
    with suppress(NotFound):
        found = store.stat(key)
        if (found.size, found.crc32c) == (size, crc):
            return found
    return None


def remove_completed(store: GcsStore, key: str, size: int, crc: int | None) -> None:
    """Take it back, if it is there; StorageError where nothing tells."""
    try:
        found = find_completed(store, key, size, crc)
        if found is not None:
            store.delete_version(found)
    except AccessDenied as error:
        raise StorageError("it was being completed, so the whole object may be visible") from error
