"""Blocks that were put and belong to no blob: they are invisible, and the service drops them after a week.

To drop them sooner an empty blob takes their place and is deleted. It is marked, so that even where its deletion fails
nothing here takes it for an object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import NotFound, StorageError
from ..errors import error_code, translating

if TYPE_CHECKING:
    from .requests import Blobs

# Somebody has made a blob of them, or of the name, meanwhile.
_TAKEN = {"BlobAlreadyExists", "ConditionNotMet", "409", "412"}


def names_below(blobs: Blobs, prefix: str) -> list[str]:
    """The names below a prefix to which blocks were put and where no blob is."""
    with translating(f"can't list the uploads below {blobs.container}/{prefix}"):
        # Those that are no blobs have neither size nor ETag; some stores make one up.
        candidates = [entry.name for entry in blobs.list(prefix, uncommitted=True) if not entry.size]
    return [name for name in candidates if _is_missing(blobs, name)]


def drop_below(blobs: Blobs, prefix: str) -> int:
    """Drop them below a prefix, except for those put to a name where a blob is; returns how many names there were.

    One that can't be dropped is an error, after all were tried.
    """
    names = names_below(blobs, prefix)
    if not names:
        return 0
    with translating(f"can't look at the container {blobs.container}"):
        if blobs.is_immutable():
            return 0  # the empty blobs would stay
    dropped = 0
    failed: StorageError | None = None
    for name in names:
        try:
            with translating(f"can't drop the unfinished upload of {blobs.container}/{name}"):
                blobs.delete(name, blobs.put_placeholder(name))
            dropped += 1
        except StorageError as error:
            if error_code(error) not in _TAKEN:
                failed = error
    if failed is not None:
        raise failed
    return dropped


def _is_missing(blobs: Blobs, name: str) -> bool:
    try:
        with translating(f"can't find {blobs.container}/{name}"):
            blobs.head(name)
    except NotFound:
        return True
    return False
