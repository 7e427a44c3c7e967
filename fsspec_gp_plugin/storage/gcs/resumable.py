"""A resumable upload to Google Cloud Storage: one stream of bytes, of which the service says how far it has come."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from ...checksum import combined, crc32c
from ...errors import StorageError, Unreachable
from ..contract import Capabilities, PartWriter
from ..errors import http_status, translating
from ..http.cancellation import Cancellation
from .answers import described, no_object_missing
from .completed import find_completed, remove_completed
from .requests import INCOMPLETE

if TYPE_CHECKING:
    from ..contract import ObjectInfo
    from .store import GcsStore

# What is not the end of an object is kept in multiples of this.
_GRAIN = 256 << 10
# Answers in a row that keep nothing of what was sent.
_MOST_IN_VAIN = 3
_CANCELLED = 499  # what Google answers to the end of a session
_SESSION_GONE = ("404", "410")
# A session is one stream of bytes: its chunks come in order.
SERIAL = Capabilities(parallel_parts=False, parallel_reads=True, creates=True, max_part_size=5 << 40)


class ResumableWriter(PartWriter):
    """One resumable upload. The session's address is a secret: whoever has it may write the object."""

    def __init__(self, store: GcsStore, key: str) -> None:
        """Touches nothing yet."""
        self._store = store
        self._key = key
        self._name = store.name(key)
        self._session = ""
        self._next_part = 1
        # How many bytes the service has, and those after them that are too few to be kept by it.
        self._kept = 0
        self._tail = b""
        self._crc = 0
        # An answer got lost, so the service may have more than we know.
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
            return self._store.put(self._key, memoryview(b""))
        with self._lock, no_object_missing(f"can't write {self._name}"):
            self._require_open()
            sent = self._kept + len(self._tail)
            if sent != size:
                raise StorageError(f"can't write {self._name}: {sent} bytes were sent of {size}")
            found = self._finish(size)
            info = self._store.require_same(found, size, self._crc)
            self._done = True
            return info

    def _finish(self, size: int) -> ObjectInfo:
        """The object, made visible now or by an earlier attempt whose answer got lost."""
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
            if (found := find_completed(self._store, self._key, size, self._crc)) is not None:
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
                    self._store.delete_version(described(self._key, answer))
                    return
            answer_of = self._store.requests.send
            answer_of("DELETE", self._session, {}, memoryview(b""), also=(_CANCELLED,))
        except Exception as error:
            if http_status(error) not in _SESSION_GONE:
                raise
            if self._completing:
                remove_completed(self._store, self._key, size, self._crc)

    def _require_open(self) -> None:
        if self._aborted:
            raise StorageError(f"can't write {self._name}: aborted")

    def _begin(self) -> None:
        if self._session:
            return
        requests = self._store.requests
        url = requests.upload_url(self._store.bucket, uploadType="resumable", name=self._store.path(self._key))
        about = json.dumps({"contentType": "application/octet-stream"}).encode()
        _, headers, _ = requests.send(
            "POST", url, {"Content-Type": "application/json"}, memoryview(about), cancellation=self._cancellation
        )
        if not headers.get("location"):
            raise Unreachable("the answer names no upload, so it is not the store's")
        self._session = headers["location"]

    def _send(self, body: memoryview) -> None:
        """Send bytes, from where the service has them on, until it has them all."""
        start, end = self._kept, self._kept + len(body)
        if self._unsure:
            self._kept = self._told(self._ask(None), start, end)
            self._unsure = False
        in_vain = 0
        while self._kept < end:
            before = self._kept
            try:
                rest = body[before - start :]
                status, _, headers = self._put(f"bytes {before}-{end - 1}/*", rest)
                self._kept = self._told((status, headers), start, end)
            except Exception:
                # Whatever came of it, the part counts from its beginning, and the service is asked first.
                self._kept, self._unsure = start, True
                raise
            in_vain = in_vain + 1 if self._kept == before else 0
            if in_vain == _MOST_IN_VAIN:
                self._kept, self._unsure = start, True
                raise Unreachable(f"can't write {self._name}: the store keeps nothing of what it is sent")

    def _told(self, answered: tuple[int, Any], start: int, end: int) -> int:
        """How many bytes the service has, by its answer."""
        status, headers = answered
        if status != INCOMPLETE:
            raise StorageError(f"can't write {self._name}: the store ended the upload before its end")
        told = str(headers.get("range") or "")
        kept = int(told.rpartition("-")[2]) + 1 if told else 0
        if not start <= kept <= end:
            raise StorageError(f"can't write {self._name}: the store has {kept} bytes, expected {start} to {end}")
        return kept

    def _ask(self, size: int | None) -> tuple[int, Any]:
        """Status and headers of an upload that is under way, or status and object of one that is complete."""
        status, found, headers = self._put(f"bytes */{'*' if size is None else size}", memoryview(b""))
        return status, headers if status == INCOMPLETE else found

    def _put(self, span: str, body: memoryview) -> tuple[int, Any, Any]:
        send = self._store.requests.send
        try:
            status, headers, found = send(
                "PUT", self._session, {"Content-Range": span}, body, also=(INCOMPLETE,), cancellation=self._cancellation
            )
        except Exception as error:
            if http_status(error) in _SESSION_GONE and not self._completing:
                raise StorageError(f"can't write {self._name}: the store has forgotten the upload") from error
            raise
        return status, found, headers
