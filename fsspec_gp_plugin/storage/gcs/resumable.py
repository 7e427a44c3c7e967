"""A resumable upload to Google Cloud Storage: one stream of bytes, and the service says how many it has."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from ...checksum import combined, crc32c
from ...errors import StorageError, Unreachable
from ..contract import Capabilities, PartWriter
from ..error_translation import http_status, translating
from ..http.cancellation import Cancellation
from .answers import described, no_object_missing
from .requests import INCOMPLETE

if TYPE_CHECKING:
    from ..contract import ObjectInfo
    from .bucket import Bucket

# The service keeps multiples of this, except at the end of an object.
_GRAIN = 256 << 10
# Responses in a row after which the service still has nothing more.
_MOST_IN_VAIN = 3
_CANCELLED = 499  # Google's response when a session is ended
_SESSION_GONE = ("404", "410")
# A session is one stream of bytes: its chunks come in order.
SERIAL = Capabilities(parallel_parts=False, parallel_reads=True, creates=True, max_part_size=5 << 40)


class ResumableWriter(PartWriter):
    """One resumable upload. The session's address is a secret: anybody who has it can write the object."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        """Makes no request yet."""
        self._bucket = bucket
        self._key = key
        self._name = bucket.name(key)
        self._session = ""
        self._next_part = 1
        # The bytes that the service has, and those after them that are too few for a request.
        self._kept = 0
        self._tail = b""
        self._crc = 0
        # A response got lost, so the service may have more bytes than this writer knows.
        self._unsure = False
        self._completing = self._done = self._aborted = False
        self._cancellation = Cancellation()
        self._lock = threading.Lock()

    def write(self, number: int, data: memoryview) -> None:
        with self._lock, no_object_missing(f"can't write {self._name}"):
            self._require_open()
            if number != self._next_part:
                raise StorageError(f"part {number} where part {self._next_part} was expected")
            self._begin()
            body = data if not self._tail else memoryview(self._tail + data)
            whole = len(body) - len(body) % _GRAIN
            self._send(body[:whole])
            self._tail = bytes(body[whole:])
            self._crc = combined(self._crc, crc32c(data), len(data))
            self._next_part += 1

    def complete(self, size: int) -> ObjectInfo:
        if self._next_part == 1:
            self._require_open()
            return self._bucket.put(self._key, memoryview(b""))
        with self._lock, no_object_missing(f"can't write {self._name}"):
            self._require_open()
            sent = self._kept + len(self._tail)
            if sent != size:
                raise StorageError(f"can't write {self._name}: {sent} bytes were sent of {size}")
            found = self._finish(size)
            info = self._bucket.require_same(found, size, self._crc)
            self._done = True
            return info

    def _finish(self, size: int) -> ObjectInfo:
        """Make the object visible and return it; an earlier request whose response got lost may have done so."""
        try:
            if self._completing:
                status, answer = self._ask(size)
                if status != INCOMPLETE:
                    return described(self._key, answer)
            self._completing = True
            last = f"bytes {self._kept}-{size - 1}/{size}" if self._tail else f"bytes */{size}"
            status, answer, _ = self._put(last, memoryview(self._tail))
            if status == INCOMPLETE:
                raise Unreachable(f"can't write {self._name}: the store did not get the last bytes")
            return described(self._key, answer)
        except Exception as error:
            if http_status(error) not in _SESSION_GONE or not self._completing:
                raise
            # A session that is complete may be forgotten; then the object tells.
            if (found := self._bucket.find_completed(self._key, size, self._crc)) is not None:
                return found
            raise StorageError(f"can't write {self._name}: the store has forgotten the upload") from error

    def abort(self) -> None:
        if self._done or self._aborted:
            return
        self._aborted = True
        self._cancellation.cancel()
        with self._lock, translating(f"can't abort the upload of {self._name}"):
            if not self._session:
                return
            # Not cancelled with the rest.
            self._cancellation = Cancellation()
            try:
                self._end_session()
            except Exception:
                self._aborted = False  # so that it may be repeated
                raise

    def _end_session(self) -> None:
        size = self._kept + len(self._tail)
        try:
            if self._completing:
                status, answer = self._ask(size)
                if status != INCOMPLETE:
                    self._bucket.delete_version(described(self._key, answer))
                    return
            answer_of = self._bucket.requests.send
            answer_of("DELETE", self._session, {}, memoryview(b""), also=(_CANCELLED,))
        except Exception as error:
            if http_status(error) not in _SESSION_GONE:
                raise
            if self._completing:
                self._bucket.remove_completed(self._key, size, self._crc)

    def _require_open(self) -> None:
        if self._aborted:
            raise StorageError(f"can't write {self._name}: aborted")

    def _begin(self) -> None:
        if self._session:
            return
        requests = self._bucket.requests
        url = requests.upload_url(self._bucket.bucket, uploadType="resumable", name=self._bucket.path(self._key))
        about = json.dumps({"contentType": "application/octet-stream"}).encode()
        _, headers, _ = requests.send(
            "POST", url, {"Content-Type": "application/json"}, memoryview(about), cancellation=self._cancellation
        )
        if not headers.get("location"):
            raise Unreachable("the answer names no upload, so it is not the store's")
        self._session = headers["location"]

    def _send(self, body: memoryview) -> None:
        """Send the bytes that the service lacks, until it has all."""
        start, end = self._kept, self._kept + len(body)
        if self._unsure:
            self._kept = self._bytes_kept(self._ask(None), start, end)
            self._unsure = False
        in_vain = 0
        while self._kept < end:
            before = self._kept
            try:
                rest = body[before - start :]
                status, _, headers = self._put(f"bytes {before}-{end - 1}/*", rest)
                self._kept = self._bytes_kept((status, headers), start, end)
            except Exception:
                # The part is sent again from its beginning, after the service has reported what it has.
                self._kept, self._unsure = start, True
                raise
            in_vain = in_vain + 1 if self._kept == before else 0
            if in_vain == _MOST_IN_VAIN:
                self._kept, self._unsure = start, True
                raise Unreachable(f"can't write {self._name}: the store keeps nothing of what it is sent")

    def _bytes_kept(self, response: tuple[int, Any], start: int, end: int) -> int:
        """Return how many bytes the service has, by its response."""
        status, headers = response
        if status != INCOMPLETE:
            raise StorageError(f"can't write {self._name}: the store ended the upload before its end")
        kept_range = str(headers.get("range") or "")
        kept = int(kept_range.rpartition("-")[2]) + 1 if kept_range else 0
        if not start <= kept <= end:
            raise StorageError(f"can't write {self._name}: the store has {kept} bytes, expected {start} to {end}")
        return kept

    def _ask(self, size: int | None) -> tuple[int, Any]:
        """Return the status, and the headers of an upload under way or the object of a completed one."""
        status, found, headers = self._put(f"bytes */{'*' if size is None else size}", memoryview(b""))
        return status, headers if status == INCOMPLETE else found

    def _put(self, span: str, body: memoryview) -> tuple[int, Any, Any]:
        send = self._bucket.requests.send
        try:
            status, headers, found = send(
                "PUT", self._session, {"Content-Range": span}, body, also=(INCOMPLETE,), cancellation=self._cancellation
            )
        except Exception as error:
            if http_status(error) in _SESSION_GONE and not self._completing:
                raise StorageError(f"can't write {self._name}: the store has forgotten the upload") from error
            raise
        return status, found, headers
