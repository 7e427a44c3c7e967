"""How streams travel, by a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..transfer.download import DownloadSettings
from ..transfer.upload import UploadSettings

if TYPE_CHECKING:
    from ..config.loading import Config


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
