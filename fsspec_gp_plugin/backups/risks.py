"""What a configuration allows that a careful administrator would change."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ..config.units import format_duration
from ..storage.credential_renewal import Renewable
from ..storage.retry import without_retries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..config.loading import Config
    from ..storage.contract import Store

_HERE = ("localhost", "127.0.0.1", "::1")
# Seconds of a backup that takes long; and those within which whatever renews credentials should have done so.
_SOON, _SOON_WHERE_RENEWED = 86400.0, 600.0


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


def risks_of_the_credentials(store: Store, config: Config, of: str = "") -> Iterator[str]:
    """Whether those of an opened store end so soon that a backup may outlive them. `config`: the store's own."""
    inner = without_retries(store)
    if not isinstance(inner, Renewable):
        return
    end = None
    with suppress(Exception):  # such as credentials that can't be found: the first request says so
        end = inner.credentials_end()
    if end is None:
        return
    # Where a file says them, others may be put there meanwhile, and are then read.
    are_renewed = inner.finds_credentials or config.storage_options_file is not None
    left = end - time.time()
    if left < (_SOON_WHERE_RENEWED if are_renewed else _SOON):
        when = f"end in {format_duration(left)}" if left > 0 else "have ended"
        yield f"{of}the credentials {when}; " + (
            "whatever renews them has not done so yet" if are_renewed else "nothing renews them; get others"
        )


def _targets(config: Config) -> Iterator[tuple[str, Config]]:
    """Each with what the names of its options begin with."""
    yield "", config
    if config.replica is not None:
        yield "replica_", config.replica
