"""An upload of blocks to Azure."""

from __future__ import annotations

import base64
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...checksum import combined, crc32c
from ...errors import AccessDenied, NotFound, StorageError, Unreachable
from ..contract import ObjectInfo, PartWriter
from ..errors import http_status, translating
from ..http.cancellation import Cancellation
from .answers import WRITER, object_info

if TYPE_CHECKING:
    from .store import AzureStore

_LOOKS = 3


@dataclass(frozen=True)
class _Part:
    size: int
    crc: int


class AzureWriter(PartWriter):
    """The blocks of one blob. The service keeps those of all writers of a name together, so each has a name in its
    blocks' ids: what one of them makes visible never has a block of another.
    """

    def __init__(self, store: AzureStore, key: str) -> None:
        """Touches nothing yet."""
        self._store = store
        self._key = key
        self._path = store.path(key)
        self._writer = secrets.token_hex(12)
        self._parts: dict[int, _Part] = {}
        self._done = self._compared = self._aborted = self._completing = False
        self._cancellation = Cancellation()

    def write(self, number: int, data: memoryview) -> None:
        with self._store.writing(self._key):
            self._check()
            crc = crc32c(data)
            self._store.blobs.put_block(self._path, self._block(number), data, self._cancellation)
            self._parts[number] = _Part(len(data), crc)

    def complete(self, size: int) -> ObjectInfo:
        self._check()
        if not self._parts:
            return self._store.put(self._key, memoryview(b""))
        name = self._store.name(self._key)
        there = sum(part.size for part in self._parts.values())
        if there != size:
            raise StorageError(f"can't write {name}: {there} bytes were stored of {size}")
        crc = 0
        for _, part in sorted(self._parts.items()):
            crc = combined(crc, part.crc, part.size)
        if not self._done:
            with self._store.writing(self._key):
                self._commit(crc)
            self._done = True
        try:
            info = self._require(ObjectInfo(self._key, size, None, crc))
        except Unreachable:
            raise  # not compared
        except StorageError:
            self._compared = True  # and what came of it is told
            raise
        self._compared = True
        return info

    def _commit(self, crc: int) -> None:
        if self._completing and self._is_there():
            return  # an earlier attempt, whose answer got lost, has done it
        self._completing = True
        try:
            self._store.blobs.put_block_list(
                self._path, [self._block(number) for number in sorted(self._parts)], crc, self._writer
            )
        except Exception as error:
            # So may this one, which is sent again where a kept connection breaks; the blocks are then in use already.
            if not http_status(error).startswith("4") or not self._is_there():
                raise

    def _is_there(self) -> bool:
        """Whether the blob of that name is this writer's."""
        try:
            return self._store.head(self._key).get(WRITER) == self._writer
        except (NotFound, AccessDenied):
            return False

    def _require(self, written: ObjectInfo) -> ObjectInfo:
        """Compare the blob with what was sent; one that differs is deleted.

        Credentials that may not read can't compare, and the service has acknowledged every block to them.
        """
        name = self._store.name(self._key)
        try:
            headers = self._store.head(self._key)
        except AccessDenied:
            return written
        except NotFound:
            raise StorageError(f"can't write {name}: the store acknowledged it, and it is not there") from None
        if headers.get(WRITER) != self._writer:
            raise StorageError(f"can't write {name}: somebody else has replaced it meanwhile")
        found = object_info(self._key, headers, 200)
        if (found.size, found.crc32c) == (written.size, written.crc32c):
            return found
        problem = f"can't write {name}: the store held {found.size} bytes of {written.size}"
        try:
            with translating(f"can't delete {name}"):
                self._store.blobs.delete(self._path, found.version)
        except StorageError as error:
            raise StorageError(f"{problem}; it could not be removed: {error}") from error
        raise StorageError(f"{problem}; removed")

    def abort(self) -> None:
        if self._done:
            if not self._compared:
                raise StorageError("the object is complete and visible, but could not be compared with what was sent")
            return
        self._aborted = True
        self._cancellation.cancel()
        # No request drops blocks without making an empty object visible: the service does it after a week.
        if self._completing:
            self._remove_completed()

    def _remove_completed(self) -> None:
        """What was being completed may have become visible, and may still."""
        for look in range(_LOOKS):
            if look:
                time.sleep(0.05)
            with suppress(NotFound):
                headers = self._store.head(self._key)
                if headers.get(WRITER) == self._writer:
                    with translating(f"can't delete {self._store.name(self._key)}"):
                        self._store.blobs.delete(self._path, headers.get("etag"))
                    break
        self._completing = False

    def _block(self, number: int) -> str:
        """All ids of one name must have the same length."""
        return base64.b64encode(f"{self._writer}{number:08}".encode()).decode()

    def _check(self) -> None:
        if self._aborted:
            raise StorageError("aborted")
