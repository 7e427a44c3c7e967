"""Configurations and stores that are kept between calls, for as long as all that they were made of is the same."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..backups.from_config import renewal
from ..config.encryption import key_file
from ..config.loading import Config, parse_config, read_config
from ..protocol.targets import Resources
from ..storage.credential_files import mark_of, marks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..log import Log
    from ..storage.contract import Store
    from ..transfer.buffers import Memory
    from ..transfer.descriptor_io import Alarm

_MOST_CONFIGS = 64
_MOST_STORES = 8


class _Asked(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(environment)
        self.answers: dict[str, str | None] = {}

    def __contains__(self, name: object) -> bool:
        self.answers[str(name)] = super().get(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.answers[name] = super().get(name)
        return super().get(name, default)


@dataclass(frozen=True)
class _Read:
    """A configuration, and what it was made of beside its text."""

    config: Config
    variables: dict[str, str | None]
    files: Any

    def holds(self, environment: Mapping[str, str]) -> bool:
        return self.files == _marks(self.config, environment) and all(
            environment.get(name) == value for name, value in self.variables.items()
        )


def _marks(config: Config, environment: Mapping[str, str]) -> Any:
    files = [one.storage_options_file for one in (config, config.replica) if one is not None]
    return [path and mark_of(path) for path in (*files, key_file(environment))]


class _Kept:
    """A store, and how many calls use it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.users = 0
        self.dropped = False


class Warm:
    """What one process keeps. May be used from any thread."""

    def __init__(self) -> None:
        """Keeps nothing yet."""
        self._lock = threading.Lock()
        self._configs: dict[str, _Read] = {}
        self._stores: dict[object, _Kept] = {}

    def config(self, path: str, environment: Mapping[str, str]) -> Config:
        """The configuration in a file; ConfigError when it can't be used."""
        text = read_config(path)
        found = self._configs.get(text)
        if found is None or not found.holds(environment):
            asked = _Asked(environment)
            config = parse_config(path, text, asked)
            # The text names the files. What they hold is read once more, as they may have been replaced meanwhile.
            before = _marks(config, environment)
            if any(before):
                config = parse_config(path, text, asked)
            found = _Read(config, asked.answers, before)
            if config.replica_problem:
                return config  # what it wants may be there the next time
            with self._lock:
                _make_room(self._configs, _MOST_CONFIGS - 1)
                self._configs[text] = found
        return found.config if found.config.path == path else found.config._replace(path=path)

    def take(self, config: Config, make: Resources) -> _Kept:
        """The store of a configuration, which nobody closes but let_go()."""
        identity = (config.url, repr(config.storage_options), config.timeout, marks(config.storage_options))
        with self._lock:
            kept = self._stores.pop(identity, None)
            if kept is not None:
                self._stores[identity] = kept  # as the youngest
                kept.users += 1
                return kept
        # Not under the lock: finding credentials may take a while, and others need none.
        made = _Kept(Resources.store(make, config))
        with self._lock:
            kept = self._stores.setdefault(identity, made)
            kept.users += 1
            surplus = list(_surplus(self._stores))
        if kept is not made:
            surplus.append(made)
        for old in surplus:
            old.store.close()
        return kept

    def let_go(self, kept: _Kept) -> None:
        """A call needs it no more."""
        with self._lock:
            kept.users -= 1
            close = kept.dropped and not kept.users
        if close:
            kept.store.close()

    def drop(self, kept: _Kept) -> None:
        """The next call gets another one, of a configuration that is read anew: with new credentials, if those of this
        one are no longer good.
        """
        with self._lock:
            self._configs.clear()
            for identity in [identity for identity, one in self._stores.items() if one is kept]:
                del self._stores[identity]
                kept.dropped = True
            close = kept.dropped and not kept.users
        if close:
            kept.store.close()


def _make_room(entries: dict[Any, Any], most: int) -> None:
    while len(entries) > most:
        del entries[next(iter(entries))]


def _surplus(stores: dict[object, _Kept]) -> Iterator[_Kept]:
    """The oldest of too many that nobody uses."""
    for identity, kept in list(stores.items()):
        if len(stores) <= _MOST_STORES:
            return
        if not kept.users:
            del stores[identity]
            yield kept


class SharedResources(Resources):
    """What one call of a client is supplied with."""

    def __init__(
        self,
        warm: Warm,
        config: Config,
        alarm: Alarm,
        memory: Memory,
        caller: tuple[int, Mapping[str, str]],
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        """`config` was taken from `warm`; `caller`: the client's process id and environment; `begun` is called when the
        first byte of an object has been given.
        """
        self._begun = begun
        self.pid, self.environment = caller
        self._warm = warm
        self._config = config
        self._kept: list[_Kept] = []
        self._used: list[_Kept] = []
        self.alarm = alarm
        self.memory = memory

    def note_first_byte(self) -> None:
        self._begun()

    def config(self, path: str, log: Log) -> Config:
        del path
        log.verbosity = self._config.logger_verbosity
        return self._config

    def store(self, config: Config) -> Store:
        kept = self._warm.take(config, self)
        self._kept.append(kept)
        self._used.append(kept)
        return kept.store

    def renewal(self, config: Config, store: Store) -> Callable[[], None] | None:
        return renewal(config, store, lambda path: self._warm.config(path, self.environment))

    def release(self, store: Store) -> None:
        for kept in [one for one in self._kept if one.store is store]:
            self._kept.remove(kept)
            self._warm.let_go(kept)

    def distrust(self) -> None:
        """A store refused this call: its credentials may have been replaced."""
        for kept in self._used:
            self._warm.drop(kept)
