"""Finds risks in a configuration that a careful administrator would remove."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ..config.values import format_duration
from ..storage.credential_renewal import Renewable
from ..storage.retry import without_retries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..config.loading import Config
    from ..storage.contract import Store

_HERE = ("localhost", "127.0.0.1", "::1")
# Seconds of a long backup; and the seconds before the end by which credentials should have been renewed.
_SOON, _SOON_WHERE_RENEWED = 86400.0, 600.0


def config_risks(config: Config) -> Iterator[str]:
    """The risks in the configuration file, one sentence for each."""
    for prefix, target in _targets(config):
        if target.literal_secrets:
            names = ", ".join(dict.fromkeys(target.literal_secrets))
            yield (
                f"{prefix}storage_options contain plain-text secrets ({names}): gpbackup copies the file to /tmp on "
                "every host, readable by others; use a storage_options_file, ${NAME}, an encrypted value or the "
                "cloud's own credentials instead (docs/security.md)"
            )


def connection_risks(store: Store, of: str = "") -> Iterator[str]:
    """The risks of the connection to a store, one sentence for each. `of`: "replica_" or ""."""
    transport = None
    with suppress(Exception):  # such as missing credentials: the first request reports them
        transport = store.transport_security()
    if transport is None or transport.host in _HERE:
        return
    if not transport.is_encrypted:
        yield f"{of}requests go to {transport.host} without TLS: anybody on the way may read and change"
    elif not transport.is_verified:
        yield f"{of}nothing verifies that {transport.host} is the right host: anybody on the way may read and change"


def credential_risks(store: Store, config: Config, of: str = "") -> Iterator[str]:
    """The risk that a store's credentials end before a backup does. `config`: the store's."""
    inner = without_retries(store)
    if not isinstance(inner, Renewable):
        return
    end = None
    with suppress(Exception):  # such as missing credentials: the first request reports them
        end = inner.credentials_end()
    if end is None:
        return
    # Credentials in a file may be replaced meanwhile; then the file is read again.
    are_renewed = inner.finds_credentials or config.storage_options_file is not None
    left = end - time.time()
    if left < (_SOON_WHERE_RENEWED if are_renewed else _SOON):
        when = f"end in {format_duration(left)}" if left > 0 else "have ended"
        yield f"{of}the credentials {when}; " + (
            "whatever renews them has not done so yet" if are_renewed else "nothing renews them; get others"
        )


def _targets(config: Config) -> Iterator[tuple[str, Config]]:
    """Each target's configuration, after what the names of its options begin with."""
    yield "", config
    if config.replica is not None:
        yield "replica_", config.replica
