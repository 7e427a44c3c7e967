"""S3 and what speaks like it. s3fs finds credentials, signs and sends; parts are written below its file
object, which uploads one at a time and commits after an exception.

All requests run on s3fs' event loop, in its own thread; the callers' threads wait for them.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import AccessDenied, NotFound, ObjectChanged, StorageError, Unreachable
from .api import Capabilities, ObjectInfo
from .deletion import delete_each, raise_failures
from .errors import s3_code, translated, translating

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

_PIECE = 1 << 20
_KEYS_A_DELETE = 1000


class S3Store:
    """Objects of one bucket below a prefix."""

    capabilities = Capabilities(
        parallel_parts=True, parallel_reads=True, min_part_size=5 << 20, max_part_size=5 << 30, max_parts=10_000
    )

    def __init__(self, fs: Any, bucket: str, prefix: str) -> None:
        """`fs` is a synchronous s3fs.S3FileSystem."""
        self._fs = fs
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    def __repr__(self) -> str:
        return f"S3Store(s3://{self._bucket}/{self._prefix})"

    def name(self, key: str) -> str:
        """The object's URL, for messages."""
        return f"s3://{self._bucket}/{self._prefix}{key}"

    def target(self, key: str) -> dict[str, str]:
        """The bucket and key parameters of a request on an object."""
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def start(self, method: str, **parameters: Any) -> Future[Any]:
        """Begin a request by its botocore method name; cancelling the future closes its connection."""
        # Through s3fs, so that its retries and the user's s3_additional_kwargs apply.
        call: Coroutine[Any, Any, Any] = self._fs._call_s3(method, **parameters)  # noqa: SLF001
        return asyncio.run_coroutine_threadsafe(call, self._fs.loop)

    def call(self, method: str, **parameters: Any) -> Any:
        """Make a request and wait for its answer."""
        future = self.start(method, **parameters)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        with _writing(self.name(key)):
            answer = self.call("put_object", **self.target(key), Body=bytes(data))
        if not _is_known_to_be(data, answer):
            self.require_size(key, len(data))
        return ObjectInfo(key, len(data), answer.get("ETag"))

    def begin(self, key: str) -> S3Writer:
        return S3Writer(self, key)

    def stat(self, key: str) -> ObjectInfo:
        try:
            with translating(f"can't find {self.name(key)}"):
                answer = self.call("head_object", **self.target(key))
        except NotFound:
            self._require_bucket()
            raise
        return ObjectInfo(key, answer["ContentLength"], answer.get("ETag"))

    def read(self, info: ObjectInfo, start: int, end: int) -> Iterator[bytes | memoryview]:
        if start >= end:
            return
        pinned = {"IfMatch": info.version} if info.version else {}
        with translating(f"can't read {self.name(info.key)}"):
            answer = self.call("get_object", **self.target(info.key), Range=f"bytes={start}-{end - 1}", **pinned)
            body = answer["Body"]
            try:
                _require_range(answer, start, end, info)
                while start < end:
                    piece = self._wait(_read_piece(body, min(_PIECE, end - start)))
                    if not piece:
                        raise EOFError(f"at byte {start} of a range to {end}")
                    start += len(piece)
                    yield piece
            finally:
                self._fs.loop.call_soon_threadsafe(body.close)

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        token: dict[str, str] = {}
        while True:
            with _no_object_missing(f"can't list {self.name(prefix)}"):
                page = self.call("list_objects_v2", Bucket=self._bucket, Prefix=self._prefix + prefix, **token)
            for entry in page.get("Contents", ()):
                key = entry["Key"][len(self._prefix) :]
                # A key that ends in "/" is the marker of a directory, made by some browser of buckets.
                if key and (unfinished or not key.endswith("/")):
                    yield ObjectInfo(key, entry["Size"], entry.get("ETag"))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, keys: Iterable[str]) -> None:
        remaining = iter(keys)
        failed: list[str] = []
        while batch := list(islice(remaining, _KEYS_A_DELETE)):
            failed += self._delete_batch(batch)
        raise_failures(failed)

    def _delete_batch(self, keys: list[str]) -> list[str]:
        """Delete up to 1,000 objects, in one request where the store can; returns a line for each that failed."""
        objects = [{"Key": self._prefix + key} for key in keys]
        answer = None
        if len(keys) > 1:
            try:
                answer = self.call("delete_objects", Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
            except Exception as error:
                problem = translated(error, f"can't delete {self.name('')}")
                if isinstance(problem, Unreachable):
                    raise problem from error
                # Not every store has bulk delete; what else is wrong shows below.
        if answer is None:
            return delete_each(keys, lambda key: self.call("delete_object", **self.target(key)), self.name)
        return [
            f"can't delete s3://{self._bucket}/{error.get('Key')}: {error.get('Code')}: {error.get('Message')}"
            for error in answer.get("Errors", ())
            if error.get("Code") != "NoSuchKey"
        ]

    def delete_empty_directories(self, prefix: str) -> None:
        pass

    def _require_bucket(self) -> None:
        """Tell a missing bucket from a missing object: both are a plain 404 to a HEAD request."""
        with suppress(AccessDenied), _no_object_missing(f"can't find {self.name('')}"):
            self.call("head_bucket", Bucket=self._bucket)

    def require_size(self, key: str, size: int) -> None:
        """Compare what the store holds with what was sent; an object that differs is deleted.

        Credentials that may not read can't compare, and the store has acknowledged every part to them.
        """
        try:
            found: object = self.stat(key).size
        except AccessDenied:
            return
        except StorageError as error:
            found = error
        if found == size:
            return
        with suppress(StorageError):
            self.delete([key])
        if isinstance(found, StorageError):
            raise StorageError(f"{found}; it was written, could not be compared, and is removed") from found
        raise StorageError(f"can't write {self.name(key)}: the store held {found} bytes of {size}; removed")

    def close(self) -> None:
        client = self._fs._s3  # noqa: SLF001 - its own close_session waits only 0.1 s
        if client is not None:
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(client.__aexit__(None, None, None), self._fs.loop).result(5)

    def _wait(self, coroutine: Coroutine[Any, Any, bytes]) -> bytes:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._fs.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


async def _read_piece(body: Any, size: int) -> bytes:
    """Up to `size` bytes, gathered: the connection hands over a few kilobytes at a time."""
    pieces = []
    while size > 0 and (piece := await body.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


@contextmanager
def _no_object_missing(doing: str) -> Iterator[None]:
    """As translating(), for requests that can't miss an object: a 404 then means something larger."""
    try:
        with translating(doing):
            yield
    except NotFound as error:
        raise StorageError(
            f"{doing}: the bucket does not exist, or the endpoint is no S3 service; check `url` and `endpoint_url`"
        ) from error


def _writing(name: str) -> AbstractContextManager[None]:
    return _no_object_missing(f"can't write {name}")


def _is_known_to_be(data: memoryview, answer: dict[str, Any]) -> bool:
    """Whether the answer to a put already proves that the store holds these bytes and no framing around them."""
    if answer.get("SSECustomerAlgorithm") or str(answer.get("ServerSideEncryption", "")).startswith("aws:kms"):
        return True  # the ETag says nothing then, and stores that encrypt so know how to take an object
    return str(answer.get("ETag", "")).strip('"') == hashlib.md5(data, usedforsecurity=False).hexdigest()


def _require_range(answer: dict[str, Any], start: int, end: int, info: ObjectInfo) -> None:
    """A gateway that ignores the Range header would answer with other bytes of the right number."""
    told = answer.get("ContentRange")
    if told is None:
        if start == 0 and answer.get("ContentLength") == end == info.size:
            return
    elif told.startswith(f"bytes {start}-{end - 1}/"):
        if told.endswith((f"/{info.size}", "/*")):
            return
        raise ObjectChanged(f"can't read {info.key}: its size has changed, {told} instead of {info.size} bytes")
    raise StorageError(f"can't read {info.key}: asked for bytes {start}-{end - 1}, the store gave {told or 'all'}")


class S3Writer:
    """One multipart upload."""

    def __init__(self, store: S3Store, key: str) -> None:
        """Touches nothing yet."""
        self._store = store
        self._key = key
        self._begun: Future[Any] | None = None
        self._etags: dict[int, str] = {}
        self._flying: set[Future[Any]] = set()
        self._done = self._aborted = False
        # Held only to start requests, never while one is under way.
        self._lock = threading.Lock()

    def write(self, number: int, data: memoryview) -> None:
        with _writing(self._store.name(self._key)):
            upload_id = self._upload_id()
            answer = self._call("upload_part", UploadId=upload_id, PartNumber=number, Body=bytes(data))
            self._etags[number] = answer["ETag"]

    def complete(self, size: int) -> ObjectInfo:
        name = self._store.name(self._key)
        with _writing(name):
            parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(self._etags.items())]
            if not parts:  # S3 takes no multipart upload without parts
                self._done = True
                return self._store.put(self._key, memoryview(b""))
            upload_id = self._upload_id()
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
                    return
                raise
            time.sleep(0.05)

    def _upload_id(self) -> str:
        """The upload's id; the first thread that needs it creates the upload."""
        with self._lock:
            self._check()
            if self._begun is None:
                self._begun = self._store.start("create_multipart_upload", **self._store.target(self._key))
        upload_id: str = self._begun.result()["UploadId"]
        return upload_id

    def _call(self, method: str, **parameters: Any) -> Any:
        with self._lock:
            self._check()
            future = self._store.start(method, **self._store.target(self._key), **parameters)
            self._flying.add(future)
        try:
            return future.result()
        finally:
            self._flying.discard(future)

    def _check(self) -> None:
        if self._aborted:
            raise StorageError("aborted")
