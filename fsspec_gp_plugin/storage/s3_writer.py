"""A multipart upload to S3."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from ..errors import StorageError
from .api import ObjectInfo
from .errors import s3_code, translating
from .s3_answers import writing

if TYPE_CHECKING:
    from concurrent.futures import Future

    from .s3 import S3Store


class S3Writer:
    """One multipart upload."""

    def __init__(self, store: S3Store, key: str) -> None:
        """Touches nothing yet."""
        self._store = store
        self._key = key
        self._begun: Future[Any] | None = None
        self._etags: dict[int, str] = {}
        self._flying: set[Future[Any]] = set()
        self._done = self._aborted = self._completing = False
        # Held only to start requests, never while one is under way.
        self._lock = threading.Lock()

    def write(self, number: int, data: memoryview) -> None:
        with writing(self._store.name(self._key)):
            upload_id = self._upload_id()
            answer = self._call("upload_part", UploadId=upload_id, PartNumber=number, Body=bytes(data))
            self._etags[number] = answer["ETag"]

    def complete(self, size: int) -> ObjectInfo:
        name = self._store.name(self._key)
        with writing(name):
            parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(self._etags.items())]
            if not parts:  # S3 takes no multipart upload without parts
                self._done = True
                return self._store.put(self._key, memoryview(b""))
            upload_id = self._upload_id()
            self._completing = True
            self._call("complete_multipart_upload", UploadId=upload_id, MultipartUpload={"Parts": parts})
        self._done = True
        self._store.require_size(self._key, size)
        return ObjectInfo(self._key, size)

    def abort(self) -> None:
        if self._done:
            return
        with self._lock:
            self._aborted = True
            flying = list(self._flying)
        for future in flying:
            future.cancel()
        if self._begun is None:
            return
        try:
            upload_id = self._begun.result()["UploadId"]
        except Exception:  # noqa: BLE001 - what was never created needs no abort
            return
        with translating(f"can't abort the upload of {self._store.name(self._key)}"):
            self._abort_until_gone(upload_id)

    def _abort_until_gone(self, upload_id: str) -> None:
        """A part that was on its way may arrive after an abort: repeat it until the store knows no upload."""
        for _ in range(3):
            try:
                self._store.call("abort_multipart_upload", **self._store.target(self._key), UploadId=upload_id)
            except Exception as error:
                if s3_code(error) in ("NoSuchUpload", "404"):
                    if self._completing:
                        raise StorageError("it was being completed, so the whole object may be visible") from error
                    return
                raise
            time.sleep(0.05)

    def _upload_id(self) -> str:
        """The upload's id; the first thread that needs it creates the upload."""
        with self._lock:
            self._check()
            if self._begun is None:
                self._begun = self._store.start("create_multipart_upload", **self._store.target(self._key))
        upload_id: str = self._store.outcome(self._begun)["UploadId"]
        return upload_id

    def _call(self, method: str, **parameters: Any) -> Any:
        with self._lock:
            self._check()
            future = self._store.start(method, **self._store.target(self._key), **parameters)
            self._flying.add(future)
        try:
            return self._store.outcome(future, len(parameters.get("Body", b"")))
        finally:
            self._flying.discard(future)

    def _check(self) -> None:
        if self._aborted:
            raise StorageError("aborted")
