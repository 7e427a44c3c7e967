"""The proof that two targets are two places: one place may have many names, and a mount may be missing.

Different marks are put under one key at both. Only where each target gives back its own are they two.
"""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import AccessDenied, ConfigError, NotFound, StorageError
from ..integrity import copy_mark
from ..storage.reading import fetched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..storage.contract import Store

# So often in a row each must give back its own: a cache or a gateway may know for a moment what it was given itself.
_IN_A_ROW = 3
# A store may show what was written only after a time.
_LOOKS = 6
_PAUSE_SECONDS = 0.3


@contextmanager
def told_apart(first: Store, replica: Store, prefix: str, note: Callable[[str], None]) -> Iterator[StorageError | None]:
    """Yields None where the two targets are proven to be two places, else why nothing proves it. Within it a mark lies
    at the replica, a sign of life for `cleanup`. `note` is told, as text, which mark could not be removed.

    ConfigError where they are one place, StorageError where the replica can't be written.
    """
    key = prefix + copy_mark.new_name()
    at_first, at_replica = (f"beside a backup at the {name}: {secrets.token_hex(16)}\n".encode() for name in _NAMES)
    try:
        replica.put(key, memoryview(at_replica))
        may_be_at_first = True
        try:
            doubt: StorageError | None = None
            try:
                first.put(key, memoryview(at_first))
            except StorageError as error:
                may_be_at_first = not isinstance(error, AccessDenied)
                _look(first, replica, key, at_first, at_replica)  # which may prove that they are one
                doubt = error
            else:
                doubt = _doubt(first, replica, key, at_first, at_replica)
        finally:
            if may_be_at_first:
                _remove(first, key, note)
        yield doubt
    finally:
        _remove(replica, key, note)


_NAMES = ("first target", "replica")


def _doubt(first: Store, replica: Store, key: str, at_first: bytes, at_replica: bytes) -> StorageError | None:
    """Why nothing proves that they are two places, None where it is proven; ConfigError where they are one."""
    in_a_row = 0
    doubt: StorageError | None = None
    for look in range(_LOOKS):
        if look:
            time.sleep(_PAUSE_SECONDS)
        doubt = _look(first, replica, key, at_first, at_replica)
        in_a_row = 0 if doubt else in_a_row + 1
        if in_a_row == _IN_A_ROW:
            return None
        if doubt and not isinstance(doubt, NotFound):
            return doubt
    return doubt or StorageError(f"{key} is there at one moment and not at another")


def _look(first: Store, replica: Store, key: str, at_first: bytes, at_replica: bytes) -> StorageError | None:
    """Ask each once."""
    doubt: StorageError | None = None
    for name, store, own, other in zip(
        _NAMES, (first, replica), (at_first, at_replica), (at_replica, at_first), strict=True
    ):
        try:
            _, found = fetched(store, key, len(own) + len(other))
        except StorageError as error:
            doubt = doubt or error
            continue
        if found == other:
            raise ConfigError("option 'replica_url' is the first target itself, by another name")
        if found != own:
            doubt = doubt or StorageError(f"the {name} does not give back {key} as it was written")
    return doubt


def _remove(store: Store, key: str, note: Callable[[str], None]) -> None:
    try:
        store.delete([key])
    except StorageError as error:
        note(f"{key} stays there: {error}")
