"""What a call is supplied with: its configuration, its store, and what it shares with other calls."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..backups.from_config import open_config_store, renewal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..config.loading import Config
    from ..log import Log
    from ..storage.contract import Store
    from ..transfer.buffers import Memory
    from ..transfer.descriptor_io import Alarm


class Supplies:
    """Those of a process that makes one call: everything is made for it."""

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
        """The configuration in a file; ConfigError when it can't be used."""
        from ..config.loading import load_config
        from ..log import take_over_library_logging

        config = load_config(path)
        log.verbosity = config.logger_verbosity
        take_over_library_logging(log)
        return config

    def store(self, config: Config) -> Store:
        """The store of a configuration, which repeats nothing yet; ConfigError when there can be none."""
        return open_config_store(config)

    def renewal(self, config: Config, store: Store) -> Callable[[], None] | None:
        """What gives a store of a configuration the credentials that are good now; None where no others can come."""
        return renewal(config, store)

    def let_go(self, store: Store) -> None:
        """The call needs its store no more."""
        store.close()
