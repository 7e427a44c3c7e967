"""The stores that one call works with: the configured target, and its replica."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..errors import ConfigError, UsageError
from ..storage.opening import patient
from ..storage.retrying import Patience, RetryingStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.loading import Config
    from ..storage.api import Store
    from .supplies import Supplies

# Data waits for a store that is away for 5 minutes, and a little more, so that the last attempt comes after them.
OUTAGE_SECONDS = 330.0
# What nothing depends on yet fails early, while somebody is watching; and where a replica has it all, too.
SHORT_OUTAGE_SECONDS = 8.0


class Targets:
    """Each store is made on first use."""

    def __init__(self, config: Callable[[], Config], supplies: Supplies, note: Callable[[str], None]) -> None:
        """`note` is told, as text, of what is repeated."""
        self._config = config
        self._supplies = supplies
        self._note = note
        # Found by this call, which then asks it nothing more.
        self.first_is_away = False
        self._lock = threading.Lock()
        self._bare: dict[bool, Store] = {}
        self._patient: list[Store] = []

    def first(self, outage: float) -> Store:
        """The store of the configured URL, waited for so many seconds."""
        return self._made(outage, replica=False)

    def replica(self, outage: float) -> Store:
        """The store of the replica, waited for so many seconds; UsageError where none is configured."""
        return self._made(outage, replica=True)

    def _made(self, outage: float, *, replica: bool) -> Store:
        config = self._config().replica if replica else self._config()
        if config is None:
            raise UsageError(f"configuration file {self._config().path} names no second target: add `replica_url`")
        with self._lock:
            bare = self._bare.get(replica)
            if bare is None:
                try:
                    bare = self._bare[replica] = self._supplies.store(config)
                except ConfigError as error:
                    of = "replica: " if replica else ""
                    raise ConfigError(f"configuration file {config.path}: {of}{error}") from error
        store = patient(bare, Patience(outage, config.max_retries, note=self._note))
        self._patient.append(store)
        return store

    def close(self) -> None:
        """Repeat nothing any more, and let go of connections."""
        for store in self._patient:
            if isinstance(store, RetryingStore):
                store.give_up()
        for bare in self._bare.values():
            self._supplies.let_go(bare)
