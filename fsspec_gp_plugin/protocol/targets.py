"""What one call works with: its configuration and the stores of its targets, the primary and the replica."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from ..backups.from_config import open_config_store, renewal
from ..commands import COMMANDS
from ..config.loading import required_replica
from ..errors import ConfigError
from ..storage.failing_reads import Reads
from ..storage.outages import Outages
from ..storage.retry import with_retries
from ..storage.retry_policy import UNATTENDED_SECONDS, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..config.loading import Config
    from ..log import Log
    from ..storage.contract import Store
    from ..transfer.buffers import Memory
    from ..transfer.descriptor_io import Alarm

# Data is retried for 5 minutes, and a little more, so that the last attempt comes after them.
OUTAGE_SECONDS = 330.0
# A thousand hosts call hooks at once, and must not retry all at once: the first pause is around so many seconds.
_UNATTENDED_PAUSE_SECONDS = 0.5


def retry_policy(command: str) -> RetryPolicy:
    """How long and how often a command retries."""
    entry = COMMANDS.get(command)
    if entry is not None and entry.is_patient:
        return RetryPolicy(OUTAGE_SECONDS)
    return RetryPolicy(UNATTENDED_SECONDS, first_pause=_UNATTENDED_PAUSE_SECONDS)


class Resources:
    """What one call works with; this one makes everything anew, the agent's shares it."""

    # What ends the call where no signal does, and the memory that calls share.
    alarm: Alarm | None = None
    memory: Memory | None = None

    def __init__(self) -> None:
        """`environment` and `pid` are the caller's."""
        self.environment: Mapping[str, str] = os.environ
        self.pid = os.getpid()

    def note_first_byte(self) -> None:
        """The first bytes of an object have been written to where the call wants them."""

    def config(self, path: str, log: Log) -> Config:
        """The configuration in a file. Raises ConfigError when it can't be used."""
        from ..config.loading import load_config
        from ..log import take_over_library_logging

        config = load_config(path)
        log.verbosity = config.logger_verbosity
        take_over_library_logging(log)
        return config

    def store(self, config: Config) -> Store:
        """The store of a configuration, without retries. Raises ConfigError when there can be none."""
        return open_config_store(config)

    def renewal(self, config: Config, store: Store) -> Callable[[], None] | None:
        """What renews a store's credentials; None where the configuration can't name others."""
        return renewal(config, store)

    def release(self, store: Store) -> None:
        """Give back a store that the call no longer needs."""
        store.close()


class Targets:
    """The primary and the replica of one call. Each store is made on first use."""

    def __init__(
        self,
        config: Callable[[], Config],
        resources: Resources,
        note: Callable[[str], None],
        command: str = "",
    ) -> None:
        """`note` gets a line of text for each retry. `command` decides how long and how often to retry."""
        self._config = config
        self._resources = resources
        self._note = note
        self._policy = retry_policy(command)
        # A restore gives up early a read that fails while other objects of its backup can be read.
        self._restores = command.startswith("restore_")
        # Set by a call that found it out of reach, and then sends it no more requests.
        self.primary_is_away = False
        self._lock = threading.Lock()
        self._stores: dict[tuple[bool, float], Store] = {}
        self._retrying: list[Store] = []

    @property
    def outage(self) -> float:
        """For how many seconds the command retries."""
        return self._policy.outage

    def primary(self, outage: float | None = None, stall_timeout: float | None = None) -> Store:
        """The store of the primary. `outage`: for how many seconds it is retried, if not for the command's own.
        `stall_timeout`: after how many seconds without progress a request fails, if less than the configured `timeout`.
        """
        return self._open(self._config(), outage, stall_timeout, is_replica=False)

    def replica(self, outage: float | None = None, stall_timeout: float | None = None) -> Store:
        """The store of the replica, as primary(). Raises ConfigError where none is configured or usable."""
        return self._open(required_replica(self._config()), outage, stall_timeout, is_replica=True)

    def _open(self, config: Config, outage: float | None, stall_timeout: float | None, *, is_replica: bool) -> Store:
        if stall_timeout is not None:
            config = config._replace(timeout=min(config.timeout, stall_timeout))
        with self._lock:
            store = self._stores.get((is_replica, config.timeout))
            if store is None:
                try:
                    store = self._stores[is_replica, config.timeout] = self._resources.store(config)
                except ConfigError as error:
                    which = "replica: " if is_replica else ""
                    raise ConfigError(f"configuration file {config.path}: {which}{error}") from error
        policy = self._policy if outage is None else RetryPolicy(outage)
        policy = policy._replace(
            retries=config.max_retries,
            note=self._note,
            outages=self._outages(config, leaves_notes=policy.outage >= OUTAGE_SECONDS),
            renew=self._resources.renewal(config, store),
        )
        retrying = with_retries(store, policy, Reads(config.place, gives_up=self._restores))
        self._retrying.append(retrying)
        return retrying

    def opened(self) -> dict[bool, Store]:
        """The stores that were used so far: the primary's under False, the replica's under True."""
        with self._lock:
            return {is_replica: store for (is_replica, _), store in self._stores.items()}

    def seconds_to_wait(self) -> float:
        """For how many seconds it makes sense to wait for what another command of this host gets from the primary.
        Where there is a replica, it may come from there.
        """
        config = self._config()
        return self.outage if config.replica is not None else self._outages(config).limit(self.outage)[0]

    def _outages(self, config: Config, *, leaves_notes: bool = True) -> Outages:
        return Outages(config.place, self._note, leaves_notes=leaves_notes)

    def close(self) -> None:
        """Retry nothing any more, and release the stores."""
        for store in self._retrying:
            store.stop_waiting()
        for store in self._stores.values():
            self._resources.release(store)
