"""What a configuration allows that a careful administrator would change."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..config.loading import Config
    from ..storage.api import Store

_HERE = ("localhost", "127.0.0.1", "::1")


def risks_of_the_file(config: Config) -> Iterator[str]:
    """What stands in the file and should not, a sentence each."""
    for of, target in _targets(config):
        if target.literal_secrets:
            names = ", ".join(dict.fromkeys(target.literal_secrets))
            yield (
                f"{of}storage_options hold secrets as they are ({names}): gpbackup leaves a copy of the file in /tmp "
                "on every host, readable by others; a storage_options_file, ${NAME}, an encrypted value or the "
                "cloud's own credentials keep them apart (docs/security.md)"
            )


def risks_of_the_way(store: Store, of: str = "") -> Iterator[str]:
    """What anybody between this host and an opened store can do, a sentence each. `of`: which target it is."""
    way = None
    with suppress(Exception):  # such as credentials that can't be found: the first request says so
        way = store.way()
    if way is None or way.host in _HERE:
        return
    if not way.is_encrypted:
        yield f"{of}requests go to {way.host} without TLS: anybody on the way may read and change"
    elif not way.is_verified:
        yield f"{of}nothing verifies that {way.host} is the right host: anybody on the way may read and change"


def _targets(config: Config) -> Iterator[tuple[str, Config]]:
    """Each with what the names of its options begin with."""
    yield "", config
    if config.replica is not None:
        yield "replica_", config.replica
