"""Configurations and stores that are kept between calls, for as long as everything they were made of is unchanged."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..backups.from_config import renewal
from ..config.encrypted_values import key_file
from ..config.loading import Config, parse_config, read_config
from ..protocol.targets import Resources
from ..storage.credential_renewal import mark_of, marks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..log import Log
    from ..storage.contract import Store
    from ..transfer.buffers import Memory
    from ..transfer.descriptor_io import Alarm

_MAX_CONFIGS = 64
_MAX_STORES = 8


class _RecordedEnvironment(dict[str, str]):
    """An environment that records which variables were read, with their values."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(environment)
        self.variables: dict[str, str | None] = {}

    def __contains__(self, name: object) -> bool:
        self.variables[str(name)] = super().get(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.variables[name] = super().get(name)
        return super().get(name, default)


@dataclass(frozen=True)
class _CachedConfig:
    """A configuration, with the variables and the states of the files that it was made of."""

    config: Config
    variables: dict[str, str | None]
    files: Any

    def is_current(self, environment: Mapping[str, str]) -> bool:
        return self.files == _states_of_files(self.config, environment) and all(
            environment.get(name) == value for name, value in self.variables.items()
        )


def _states_of_files(config: Config, environment: Mapping[str, str]) -> Any:
    files = [one.storage_options_file for one in (config, config.replica) if one is not None]
    return [path and mark_of(path) for path in (*files, key_file(environment))]


class _CachedStore:
    """A store, and how many calls use it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.calls = 0
        self.is_removed = False


class Cache:
    """The configurations and stores that one process keeps. May be used from any thread."""

    def __init__(self) -> None:
        """Empty at first."""
        self._lock = threading.Lock()
        self._configs: dict[str, _CachedConfig] = {}
        self._stores: dict[object, _CachedStore] = {}

    def config(self, path: str, environment: Mapping[str, str]) -> Config:
        """The configuration in a file. Raises ConfigError if it can't be used."""
        text = read_config(path)
        cached = self._configs.get(text)
        if cached is None or not cached.is_current(environment):
            recorded = _RecordedEnvironment(environment)
            config = parse_config(path, text, recorded)
            # The text names the files. They are read a second time, as they may have been replaced meanwhile.
            states = _states_of_files(config, environment)
            if any(states):
                config = parse_config(path, text, recorded)
            cached = _CachedConfig(config, recorded.variables, states)
            if config.replica_problem:
                return config  # the next call may find the problem solved
            with self._lock:
                while len(self._configs) >= _MAX_CONFIGS:
                    del self._configs[next(iter(self._configs))]
                self._configs[text] = cached
        return cached.config if cached.config.path == path else cached.config._replace(path=path)

    def acquire(self, config: Config, make: Resources) -> _CachedStore:
        """The store of a configuration, made by `make` if there is none. Only release() and remove() close it."""
        identity = (config.url, repr(config.storage_options), config.timeout, marks(config.storage_options))
        with self._lock:
            cached = self._stores.pop(identity, None)
            if cached is not None:
                self._stores[identity] = cached  # as the youngest
                cached.calls += 1
                return cached
        # Not under the lock: finding credentials may take a while, and other calls need none.
        new = _CachedStore(Resources.store(make, config))
        with self._lock:
            cached = self._stores.setdefault(identity, new)
            cached.calls += 1
            surplus = list(_remove_surplus(self._stores))
        if cached is not new:
            surplus.append(new)
        for old in surplus:
            old.store.close()
        return cached

    def release(self, cached: _CachedStore) -> None:
        """A call no longer needs the store."""
        with self._lock:
            cached.calls -= 1
            close = cached.is_removed and not cached.calls
        if close:
            cached.store.close()

    def remove(self, cached: _CachedStore) -> None:
        """Let the next call make another store, of a configuration that is read anew: with new credentials, if those of
        this store are no longer valid.
        """
        with self._lock:
            self._configs.clear()
            for identity in [identity for identity, one in self._stores.items() if one is cached]:
                del self._stores[identity]
                cached.is_removed = True
            close = cached.is_removed and not cached.calls
        if close:
            cached.store.close()


def _remove_surplus(stores: dict[object, _CachedStore]) -> Iterator[_CachedStore]:
    """Remove the oldest unused stores while there are too many; returns them."""
    for identity, cached in list(stores.items()):
        if len(stores) <= _MAX_STORES:
            return
        if not cached.calls:
            del stores[identity]
            yield cached


class CachedResources(Resources):
    """The resources of one call of a client, with stores of the cache."""

    def __init__(
        self,
        cache: Cache,
        config: Config,
        alarm: Alarm,
        memory: Memory,
        caller: tuple[int, Mapping[str, str]],
        on_first_byte: Callable[[], None] = lambda: None,
    ) -> None:
        """`config` comes from `cache`; `caller`: the client's process id and environment; `on_first_byte` is called
        when the first byte of an object has been written to the caller.
        """
        self._on_first_byte = on_first_byte
        self.pid, self.environment = caller
        self._cache = cache
        self._config = config
        self._acquired: list[_CachedStore] = []
        self._used: list[_CachedStore] = []
        self.alarm = alarm
        self.memory = memory

    def note_first_byte(self) -> None:
        self._on_first_byte()

    def config(self, path: str, log: Log) -> Config:
        del path
        log.verbosity = self._config.logger_verbosity
        return self._config

    def store(self, config: Config) -> Store:
        cached = self._cache.acquire(config, self)
        self._acquired.append(cached)
        self._used.append(cached)
        return cached.store

    def renewal(self, config: Config, store: Store) -> Callable[[], None] | None:
        return renewal(config, store, lambda path: self._cache.config(path, self.environment))

    def release(self, store: Store) -> None:
        for cached in [one for one in self._acquired if one.store is store]:
            self._acquired.remove(cached)
            self._cache.release(cached)

    def remove_stores(self) -> None:
        """Remove the stores of this call from the cache: one refused it, and the credentials may have been replaced."""
        for cached in self._used:
            self._cache.remove(cached)
