"""Makes from a configuration its store, its stream settings, and the function that renews its credentials."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..config.loading import load_config
from ..errors import ConfigError, PluginError
from ..storage.credential_renewal import Renewable
from ..storage.open import open_store
from ..transfer.download import DownloadSettings
from ..transfer.upload import UploadSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.loading import Config
    from ..storage.contract import Store


def open_config_store(config: Config) -> Store:
    """Open the store of a configuration, which retries nothing yet. Raises ConfigError."""
    return open_store(config.url, config.storage_options, timeout=config.timeout)


def renewal(
    config: Config, store: Store, read_again: Callable[[str], Config] = load_config
) -> Callable[[], None] | None:
    """The function that renews the credentials of a configuration's store. None if its credentials can't change.
    `read_again` reads the configuration file once more.
    """
    if not isinstance(store, Renewable) or not (config.storage_options_file or store.finds_credentials):
        return None

    options = config.storage_options

    def open_again() -> Store:
        nonlocal options
        again = read_again(config.path)
        if again.replica is not None and again.url != config.url:
            again = again.replica
        if again.url != config.url:
            raise ConfigError("the configuration has another `url` now")
        if again.storage_options == options and not store.finds_credentials:
            raise ConfigError("the configuration has the same credentials as before")
        options = again.storage_options
        return open_config_store(again._replace(timeout=config.timeout))

    def renew() -> None:
        with suppress(PluginError):  # such as of a file that is half written; the next attempt reads it again
            store.renew(open_again)

    return renew


def upload_settings(config: Config) -> UploadSettings:
    """How one stream is sent."""
    return UploadSettings(
        part_size=config.backup_multipart_chunksize,
        concurrency=config.backup_max_concurrent_requests,
        memory_limit=config.memory_limit,
        fixed=config.fixed_part_size,
        max_parts=config.max_parts,
        max_bandwidth=config.max_bandwidth,
        checksum=config.checksum != "off",
    )


def download_settings(config: Config) -> DownloadSettings:
    """How one stream is fetched."""
    return DownloadSettings(
        read_size=config.restore_multipart_chunksize,
        concurrency=config.restore_max_concurrent_requests,
        memory_limit=config.memory_limit,
        max_bandwidth=config.max_bandwidth,
        checksum=config.checksum != "off",
    )
