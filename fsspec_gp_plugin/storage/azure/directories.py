"""Directories of accounts with a hierarchical namespace, and the blobs that stand for them elsewhere."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from ...errors import StorageError
from ..errors import translating
from .answers import is_directory

if TYPE_CHECKING:
    from .requests import Blobs


def delete_empty(blobs: Blobs, root: str, folder: str) -> None:
    """Delete the empty directories at and below `root` + `folder`, and then its parents below `root`, as far as they
    are empty. Whatever can't be deleted stays: it does no harm.
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
    """Whether it was a directory and is gone."""
    with suppress(StorageError), translating(f"can't delete {name}"):
        headers = blobs.head(name)
        if is_directory(headers) and not list(islice(blobs.list(f"{name}/", most=1), 1)):
            blobs.delete_directory(name, headers.get("etag"))
            return True
    return False
