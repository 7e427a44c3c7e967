"""How messages count the objects of a backup: how many, of how many, and the first of them."""

from __future__ import annotations

ARCHIVED = "in the store's archive and can't be read now"
BY_MANIFESTS = "the target was compared with the backup's manifests"
BY_GPBACKUP = "the target was compared with gpbackup's record and table of contents"


def counted(count: int, total: int | None, state: str, first: str) -> str:
    """A sentence about `count` objects, all in the same state, of `total`, or of an unknown number.

    >>> counted(1, 65, "missing", "KEY")
    '1 of 65 objects is missing: KEY'
    >>> counted(4, 65, "missing", "KEY")
    '4 of 65 objects are missing, the first is KEY'
    >>> counted(1, None, "in the archive", "KEY")
    '1 object is in the archive: KEY'
    """
    of = f"{count} object{'' if count == 1 else 's'}" if total is None else f"{count} of {total} objects"
    return f"{of} is {state}: {first}" if count == 1 else f"{of} are {state}, the first is {first}"
