"""Looks for objects by their names, where listing their directory would cost more."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from ..errors import NotFound
from .parallel import run_all

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

    for _, found in run_all(look, _batches(keys), _AT_ONCE):
        yield from found


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(keys)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
