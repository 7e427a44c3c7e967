"""A store of a configuration, and what gives it other credentials where those that it has end."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..config.loading import load_config
from ..errors import ConfigError, PluginError
from ..storage.credential_renewal import Renewable
from ..storage.open import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.loading import Config
    from ..storage.contract import Store


def store_of(config: Config) -> Store:
    """The store of a configuration, which repeats nothing yet; ConfigError when there can be none."""
    return open_store(config.url, config.storage_options, timeout=config.timeout)


def renewal(
    config: Config, store: Store, read_again: Callable[[str], Config] = load_config
) -> Callable[[], None] | None:
    """What gives a store of a configuration the credentials that are good now; None where no others can come.

    `read_again` gives the configuration in a file as it is by then.
    """
    if not isinstance(store, Renewable) or not (config.storage_options_file or store.finds_credentials):
        return None

    said = config.storage_options

    def made() -> Store:
        nonlocal said
        again = read_again(config.path)
        if again.replica is not None and again.url != config.url:
            again = again.replica
        if again.url != config.url:
            raise ConfigError("the configuration is another one by now")
        if again.storage_options == said and not store.finds_credentials:
            raise ConfigError("the configuration says the same as before")
        said = again.storage_options
        return store_of(again._replace(timeout=config.timeout))

    def renew() -> None:
        with suppress(PluginError):  # such as of a file that is half written; the next attempt reads it again
            store.renew(made)

    return renew
