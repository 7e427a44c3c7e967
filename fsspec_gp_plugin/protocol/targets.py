"""The stores that one call works with: the configured target, and its replica."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..config.loading import required_replica
from ..errors import ConfigError
from ..storage.failing_reads import Reads
from ..storage.outages import Outages
from ..storage.retry import with_retries
from ..storage.retry_policy import UNATTENDED_SECONDS, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.loading import Config
    from ..storage.contract import Store
    from .supplies import Supplies

# Data waits for a store that is away for 5 minutes, and a little more, so that the last attempt comes after them.
OUTAGE_SECONDS = 330.0
# A thousand hosts call hooks at once, and shall not all come back at once: the first pause is around so many seconds.
_UNATTENDED_PAUSE_SECONDS = 0.5


class Targets:
    """Each store is made on first use."""

    def __init__(
        self, config: Callable[[], Config], supplies: Supplies, note: Callable[[str], None], *, restores: bool = False
    ) -> None:
        """`note` is told, as text, of what is repeated. `restores`: objects that answer with errors while others of
        their backup can be read are given up.
        """
        self._config = config
        self._supplies = supplies
        self._note = note
        self._restores = restores
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
            config = config._replace(timeout=min(config.timeout, still))
        with self._lock:
            kept = (replica, config.timeout)
            bare = self._bare.get(kept)
            if bare is None:
                try:
                    bare = self._bare[kept] = self._supplies.store(config)
                except ConfigError as error:
                    of = "replica: " if replica else ""
                    raise ConfigError(f"configuration file {config.path}: {of}{error}") from error
        renew = self._supplies.renewal(config, bare)
        outages = self._outages(config, leaves_notes=outage >= OUTAGE_SECONDS)
        policy = RetryPolicy(outage, config.max_retries, note=self._note, outages=outages, renew=renew)
        if outage == UNATTENDED_SECONDS:
            policy = policy._replace(first_pause=_UNATTENDED_PAUSE_SECONDS)
        store = with_retries(bare, policy, Reads(config.place, gives_up=self._restores))
        self._patient.append(store)
        return store

    def opened(self) -> dict[bool, Store]:
        """The stores that were asked for so far: of the first target under False, of the replica under True."""
        with self._lock:
            return {is_replica: store for (is_replica, _), store in self._bare.items()}

    def seconds_to_wait(self, outage: float) -> float:
        """How many of so many seconds it makes sense to wait for what another command of this host gets from the first
        target. Where there is a replica, it may come from there.
        """
        config = self._config()
        return outage if config.replica is not None else self._outages(config).limit(outage)[0]

    def _outages(self, config: Config, *, leaves_notes: bool = True) -> Outages:
        return Outages(config.place, self._note, leaves_notes=leaves_notes)

    def close(self) -> None:
        """Repeat nothing any more, and let go of connections."""
        for store in self._patient:
            store.stop_waiting()
        for bare in self._bare.values():
            self._supplies.let_go(bare)
