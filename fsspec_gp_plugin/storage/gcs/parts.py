"""An upload to Google Cloud Storage in parts that are sent at once, by its XML API."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import escape

from ...checksum import in_base64
from ...errors import AccessDenied, NotFound, StorageError, Unreachable
from ..errors import http_status
from ..multipart import Begun, MultipartWriter
from .answers import no_object_missing
from .completed import find_completed, remove_completed
from .unfinished import abort, abort_listed, listed_below

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ..contract import ObjectInfo
    from .store import GcsStore

# Answers to the first request of all that may mean "not in parts": of roles without the permissions for it, and of
# emulators that know none.
_REFUSED = ("400", "403", "404", "405", "501")


class PartsRefusedError(StorageError):
    """The store takes no uploads in parts, or not from these credentials."""


class PartsWriter(MultipartWriter):
    """One multipart upload. The service checks each part's CRC-32C, and keeps that of the whole object."""

    def __init__(self, store: GcsStore, key: str) -> None:
        """Touches nothing yet."""
        super().__init__(key, store.name(key))
        self._store = store
        self._path = store.path(key)

    def _writing(self) -> AbstractContextManager[None]:
        return no_object_missing(f"can't write {self._name}")

    def _create(self) -> Begun:
        try:
            answer = self._store.xml.ask(
                "POST", self._path, "uploads", "InitiateMultipartUploadResult", memoryview(b"")
            )
        except Exception as error:
            if http_status(error) in _REFUSED and not self._store.takes_parts:
                raise PartsRefusedError(f"can't begin an upload in parts of {self._name}: {error}") from error
            raise
        upload_id = answer.findtext("UploadId")
        if not upload_id:
            raise Unreachable(f"can't write {self._name}: the answer names no upload, so it is not the store's")
        self._store.takes_parts = True
        return Begun(upload_id, crc=True, full=True)

    def _send(self, begun: Begun, number: int, data: memoryview, crc: int | None) -> tuple[str | None, bool]:
        headers = {"x-goog-hash": f"crc32c={in_base64(crc or 0)}"}
        query = f"partNumber={number}&{_named(begun)}"
        return self._store.xml.send("PUT", self._path, query, data, headers, self._cancellation).get("etag"), True

    def _finish(self, begun: Begun, size: int, *, again: bool) -> None:
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(part.etag)}</ETag></Part>"
            for number, part in sorted(self._parts.items())
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        try:
            self._store.xml.ask("POST", self._path, _named(begun), "CompleteMultipartUploadResult", memoryview(body))
        except Exception as error:
            # An earlier request, whose answer got lost, may have done it.
            if not http_status(error).startswith("4"):
                raise
            if find_completed(self._store, self._key, size, self._crc) is not None:
                return
            if again:
                # The service may take minutes for it, whoever waits for the answer.
                raise Unreachable(f"can't write {self._name}: the store may still put its parts together") from error
            raise

    def _compare(self, written: ObjectInfo) -> ObjectInfo:
        try:
            found = self._store.stat(self._key)
        except AccessDenied:
            return written  # by credentials that may only write; the store has compared each part
        except NotFound as error:
            raise StorageError(f"can't write {self._name}: the store acknowledged it, and it is not there") from error
        return self._store.require_same(found, written.size, written.crc32c or 0)

    def _write_nothing(self) -> ObjectInfo:
        return self._store.put(self._key, memoryview(b""))

    def _abort(self, upload_id: str) -> None:
        abort(self._store.xml, self._path, upload_id)

    def _abort_all(self) -> None:
        xml, place = self._store.xml, self._store.place
        abort_listed(xml, [one for one in listed_below(xml, self._path, place) if one.key == self._path], place)

    def _remove_completed(self) -> None:
        remove_completed(self._store, self._key, sum(part.size for part in self._parts.values()), self._crc)


def _named(begun: Begun) -> str:
    return f"uploadId={quote(begun.upload_id, safe='')}"
