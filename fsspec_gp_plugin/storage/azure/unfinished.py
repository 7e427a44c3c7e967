"""Aborts uploads whose blocks belong to no blob: they are invisible, and the service drops them after a week.

To drop blocks sooner, an empty blob takes their place and is deleted. It has a mark, so that it never counts as an
object even if its deletion fails.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from ...errors import NotFound, StorageError
from ..errors import error_code, translating
from .answers import is_directory

if TYPE_CHECKING:
    from .requests import Blobs

# Somebody has made a blob of that name meanwhile.
_TAKEN = {"BlobAlreadyExists", "ConditionNotMet", "409", "412"}


def names_below(blobs: Blobs, prefix: str) -> list[str]:
    """Return the names below a prefix that have uncommitted blocks and no blob."""
    with translating(f"can't list the uploads below {blobs.container}/{prefix}"):
        # Names without a blob have no size; they have no ETag either, but some stores invent one.
        candidates = [entry.name for entry in blobs.list(prefix, uncommitted=True) if not entry.size]
    return [name for name in candidates if _is_missing(blobs, name)]


def abort_below(blobs: Blobs, prefix: str) -> int:
    """Abort the uploads below a prefix, except those of names that have a blob; return how many names there were.

    Raises StorageError for one that can't be aborted, after all were tried.
    """
    names = names_below(blobs, prefix)
    if not names:
        return 0
    with translating(f"can't look at the container {blobs.container}"):
        if blobs.is_immutable():
            return 0  # the empty blobs would stay
    aborted = 0
    failed: StorageError | None = None
    for name in names:
        try:
            with translating(f"can't abort the unfinished upload of {blobs.container}/{name}"):
                blobs.delete(name, blobs.put_placeholder(name))
            aborted += 1
        except StorageError as error:
            if error_code(error) not in _TAKEN:
                failed = error
    if failed is not None:
        raise failed
    return aborted


def _is_missing(blobs: Blobs, name: str) -> bool:
    try:
        with translating(f"can't find {blobs.container}/{name}"):
            blobs.head(name)
    except NotFound:
        return True
    return False


def delete_empty(blobs: Blobs, root: str, folder: str) -> None:
    """Delete the empty directories at and below `root` + `folder`, then its empty parents below `root`. A directory
    that can't be deleted stays: it does no harm.
    """
    with suppress(StorageError), translating("can't delete directories"):
        names = [
            entry.name
            for entry in blobs.list(root + folder)
            if entry.is_directory and f"{entry.name}/".startswith(f"{root}{folder}/")
        ]
        for name in sorted(names, reverse=True):  # what is below a directory comes before it
            _delete_if_empty(blobs, name)
        while "/" in folder:
            folder = folder.rpartition("/")[0]
            if not _delete_if_empty(blobs, root + folder):
                break


def _delete_if_empty(blobs: Blobs, name: str) -> bool:
    """Delete an empty directory; return whether it was one and is gone."""
    with suppress(StorageError), translating(f"can't delete {name}"):
        headers = blobs.head(name)
        if is_directory(headers) and not list(islice(blobs.list(f"{name}/", most=1), 1)):
            blobs.delete_directory(name, headers.get("etag"))
            return True
    return False
