"""Looks for objects by their names, where listing their directory would cost more."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from ..errors import LocalFileError, NotFound, StorageError
from .parallel import run_each

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..storage.contract import ObjectInfo, Store

_AT_ONCE = 8
_BATCH = 64


def find_by_name(store: Store, keys: Iterable[str]) -> Iterator[ObjectInfo]:
    """Those of the objects that exist, in no particular order, several requests at a time."""

    def look(batch: list[str]) -> list[ObjectInfo]:
        found = []
        for key in batch:
            try:
                found.append(store.stat(key))
            except NotFound:
                continue
        return found

    for _, result in run_each(look, _batches(keys), _AT_ONCE):
        if isinstance(result, (StorageError, LocalFileError)):
            raise result
        yield from result


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(keys)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
