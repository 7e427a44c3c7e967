"""Filesystems that can be restored from, but not backed up to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import StorageError
from .dialect import Dialect

if TYPE_CHECKING:
    from collections.abc import Callable

    from .output import Output

# Why a stream of unknown length can't be written there, piece by piece, complete or not at all.
REASONS = {
    "github": "it takes no files",
    "hf": "its library wants a whole file at once, and would need as much memory or disk on this host",
    "lakefs": "its library wants a whole object at once; use s3:// with the address of lakeFS' S3 gateway",
    "oss": "its library appends to objects that are visible meanwhile; use s3:// with the address of OSS' S3 interface",
    "zip": "an archive can't be written by many processes at once",
}


class ReadOnlyDialect(Dialect):
    """What can be restored from, but not backed up to."""

    def __init__(
        self, make: Callable[[], Any], timeout: float, protocol: str, reason: str = "it takes no files"
    ) -> None:
        """Connects to nothing yet."""
        super().__init__(make, timeout)
        self.remark = f"{protocol}:// is for restore only: {reason}"

    def make_directories(self, fs: Any, path: str) -> None:
        del fs, path
        raise StorageError(self.remark)

    def create(self, fs: Any, path: str) -> Output:
        del fs, path
        raise StorageError(self.remark)

    def remove(self, fs: Any, path: str) -> None:
        del fs, path
        raise StorageError(self.remark)

    def remove_directory(self, fs: Any, path: str) -> None:
        del fs, path
