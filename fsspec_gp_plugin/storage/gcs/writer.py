"""An upload to Google Cloud Storage: in parts that are sent at once, or, where that is refused, in one session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import StorageError
from ..contract import PartWriter
from ..errors import http_status
from .parts import PartsRefusedError, PartsWriter
from .resumable import ResumableWriter

if TYPE_CHECKING:
    from ..contract import ObjectInfo
    from .store import GcsStore


class GcsWriter(PartWriter):
    """For a store of which nothing is known yet, or that takes parts. The first part shows it; see Capabilities."""

    def __init__(self, store: GcsStore, key: str) -> None:
        """Touches nothing yet."""
        self._store = store
        self._key = key
        self._inner: PartsWriter | ResumableWriter = PartsWriter(store, key)
        self._refusal: PartsRefusedError | None = None
        self._aborted = False

    def write(self, number: int, data: memoryview) -> None:
        try:
            self._inner.write(number, data)
        except PartsRefusedError as refusal:
            self._refusal = refusal
            self._inner = ResumableWriter(self._store, self._key)
            if self._aborted:  # meanwhile, and so the other one
                raise StorageError(f"can't write {self._store.name(self._key)}: aborted") from None
            self._inner.write(number, data)
        if self._refusal is not None:  # and a session works
            why, self._refusal = self._refusal, None
            if self._store.takes_parts is None:
                cure = " (check the permissions storage.multipartUploads.*)" if http_status(why) == "403" else ""
                self.report(f"{why}{cure}; it goes in one session, part after part")
            self._store.takes_parts = False

    def complete(self, size: int) -> ObjectInfo:
        return self._inner.complete(size)

    def abort(self) -> None:
        self._aborted = True
        self._inner.abort()
