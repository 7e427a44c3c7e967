"""Multipart uploads to Google Cloud Storage, by its XML API: several parts are sent at once."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import escape

from ...checksum import in_base64
from ...errors import AccessDenied, NotFound, StorageError, Unreachable
from ..errors import http_status
from ..multipart import Begun, MultipartWriter
from .answers import no_object_missing
from .unfinished import abort, abort_listed, listed_below

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ..contract import ObjectInfo
    from .bucket import Bucket

# Responses to the first request of all that may mean "no multipart uploads": from roles without the permissions, and
# from emulators without that API.
_REFUSED = ("400", "403", "404", "405", "501")


class PartsRefusedError(StorageError):
    """The store takes no multipart uploads, or not from these credentials."""


class PartsWriter(MultipartWriter):
    """One multipart upload. The service checks the CRC-32C of each part and stores that of the whole object."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        """Makes no request yet."""
        super().__init__(key, bucket.name(key))
        self._bucket = bucket
        self._path = bucket.path(key)

    def _writing(self) -> AbstractContextManager[None]:
        return no_object_missing(f"can't write {self._name}")

    def _create(self) -> Begun:
        try:
            answer = self._bucket.xml.send_for_xml(
                "POST", self._path, "uploads", "InitiateMultipartUploadResult", memoryview(b"")
            )
        except Exception as error:
            if http_status(error) in _REFUSED and not self._bucket.takes_parts:
                raise PartsRefusedError(f"can't begin an upload in parts of {self._name}: {error}") from error
            raise
        upload_id = answer.findtext("UploadId")
        if not upload_id:
            raise Unreachable(f"can't write {self._name}: the answer names no upload, so it is not the store's")
        self._bucket.takes_parts = True
        return Begun(upload_id, crc=True, full=True)

    def _send(self, begun: Begun, number: int, data: memoryview, crc: int | None) -> tuple[str | None, bool]:
        headers = {"x-goog-hash": f"crc32c={in_base64(crc or 0)}"}
        query = f"partNumber={number}&{_named(begun)}"
        return self._bucket.xml.send("PUT", self._path, query, data, headers, self._cancellation).get("etag"), True

    def _finish(self, begun: Begun, size: int, *, again: bool) -> None:
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(part.etag)}</ETag></Part>"
            for number, part in sorted(self._parts.items())
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        try:
            self._bucket.xml.send_for_xml(
                "POST", self._path, _named(begun), "CompleteMultipartUploadResult", memoryview(body)
            )
        except Exception as error:
            # An earlier request, whose answer got lost, may have done it.
            if not http_status(error).startswith("4"):
                raise
            if self._bucket.find_completed(self._key, size, self._crc) is not None:
                return
            if again:
                # The service may need minutes for it, even if nobody waits for the response.
                raise Unreachable(f"can't write {self._name}: the store may still put its parts together") from error
            raise

    def _compare(self, written: ObjectInfo) -> ObjectInfo:
        try:
            found = self._bucket.stat(self._key)
        except AccessDenied:
            return written  # the credentials may only write; the store has checked each part
        except NotFound as error:
            raise StorageError(f"can't write {self._name}: the store acknowledged it, and it is not there") from error
        return self._bucket.require_same(found, written.size, written.crc32c or 0)

    def _write_nothing(self) -> ObjectInfo:
        return self._bucket.put(self._key, memoryview(b""))

    def _abort(self, upload_id: str) -> None:
        abort(self._bucket.xml, self._path, upload_id)

    def _abort_all(self) -> None:
        xml, place = self._bucket.xml, self._bucket.place
        abort_listed(xml, [one for one in listed_below(xml, self._path, place) if one.key == self._path], place)

    def _remove_completed(self) -> None:
        self._bucket.remove_completed(self._key, sum(part.size for part in self._parts.values()), self._crc)


def _named(begun: Begun) -> str:
    return f"uploadId={quote(begun.upload_id, safe='')}"
