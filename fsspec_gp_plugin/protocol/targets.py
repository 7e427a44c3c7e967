"""The stores that one call works with: the configured target, and its replica."""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING

from ..config.loading import required_replica
from ..errors import ConfigError
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
        self._bare: dict[tuple[bool, float], Store] = {}
        self._patient: list[Store] = []

    def first(self, outage: float, still: float | None = None) -> Store:
        """The store of the configured URL, waited for so many seconds; `still`: for how many a request may stand still,
        where that is less than the configured `timeout`.
        """
        return self._made(outage, still, replica=False)

    def replica(self, outage: float, still: float | None = None) -> Store:
        """The store of the replica, as first(); ConfigError where none is configured or it can't be used."""
        return self._made(outage, still, replica=True)

    def _made(self, outage: float, still: float | None, *, replica: bool) -> Store:
        config = required_replica(self._config()) if replica else self._config()
        if still is not None:
            config = dataclasses.replace(config, timeout=min(config.timeout, still))
        with self._lock:
            kept = (replica, config.timeout)
            bare = self._bare.get(kept)
            if bare is None:
                try:
                    bare = self._bare[kept] = self._supplies.store(config)
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
