"""S3 and what speaks like it. s3fs finds credentials, signs and sends; parts are written below its file
object, which uploads one at a time and commits after an exception.

All requests run on s3fs' event loop, in its own thread; the callers' threads wait for them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import AccessDenied, NotFound, StorageError, Unreachable
from .api import Capabilities, ObjectInfo
from .errors import translated, translating
from .fallbacks import delete_each, raise_failures
from .s3_answers import is_known_to_be, no_object_missing, require_range, writing
from .s3_writer import S3Writer

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator
    from concurrent.futures import Future

_PIECE = 1 << 20
_KEYS_A_DELETE = 1000
# However often s3fs and botocore repeat a request, it ends after so many seconds, and as many as its body
# needs at the slowest rate worth waiting for.
_PATIENCE = 300.0
_SLOWEST = 1 << 20


class S3Store:
    """Objects of one bucket below a prefix."""

    capabilities = Capabilities(
        parallel_parts=True, parallel_reads=True, min_part_size=5 << 20, max_part_size=5 << 30, max_parts=10_000
    )

    def __init__(self, fs: Any, bucket: str, prefix: str, patience: float = _PATIENCE) -> None:
        """`fs` is a synchronous s3fs.S3FileSystem; `patience` are the seconds after which a request is given up."""
        self._fs = fs
        self._patience = patience
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
        return self.outcome(self.start(method, **parameters), len(parameters.get("Body", b"")))

    def outcome(self, future: Future[Any], size: int = 0) -> Any:
        """Wait for a request with a body of `size` bytes, but not for ever."""
        try:
            return future.result(self._patience + size / _SLOWEST)
        except BaseException:
            future.cancel()
            raise

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        with writing(self.name(key)):
            answer = self.call("put_object", **self.target(key), Body=bytes(data))
        if not is_known_to_be(data, answer):
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
                require_range(answer, start, end, info)
                while start < end:
                    reading = _read_piece(body, min(_PIECE, end - start))
                    piece = self.outcome(asyncio.run_coroutine_threadsafe(reading, self._fs.loop), _PIECE)
                    if not piece:
                        raise EOFError(f"at byte {start} of a range to {end}")
                    start += len(piece)
                    yield piece
            finally:
                self._fs.loop.call_soon_threadsafe(body.close)

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        token: dict[str, str] = {}
        while True:
            with no_object_missing(f"can't list {self.name(prefix)}"):
                page = self.call("list_objects_v2", Bucket=self._bucket, Prefix=self._prefix + prefix, **token)
            for entry in page.get("Contents", ()):
                key = entry["Key"][len(self._prefix) :]
                # A key that ends in "/" is the marker of a directory, made by some browser of buckets.
                if key and (unfinished or not key.endswith("/")):
                    yield ObjectInfo(key, entry["Size"], entry.get("ETag"))
            if not page.get("IsTruncated"):
                return
            if not page.get("NextContinuationToken"):
                raise StorageError(
                    f"can't list {self.name(prefix)}: the store says there is more, but not how to get it"
                )
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
        with suppress(AccessDenied), no_object_missing(f"can't find {self.name('')}"):
            self.call("head_bucket", Bucket=self._bucket)

    def require_size(self, key: str, size: int) -> None:
        """Compare what the store holds with what was sent; an object that differs is deleted.

        Credentials that may not read can't compare, and the store has acknowledged every part to them.
        """
        try:
            try:
                found = self.stat(key).size
            except Unreachable:
                found = self.stat(key).size  # once more: what may be fine is not deleted lightly
            if found == size:
                return
            problem = f"can't write {self.name(key)}: the store held {found} bytes of {size}"
        except AccessDenied:
            return
        except StorageError as error:
            problem = f"it was written and could not be compared: {error}"
        try:
            self.delete([key])
        except StorageError as error:
            raise StorageError(f"{problem}; it could not be removed: {error}") from error
        raise StorageError(f"{problem}; removed")

    def close(self) -> None:
        client = self._fs._s3  # noqa: SLF001 - its own close_session waits only 0.1 s
        if client is not None:
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(client.__aexit__(None, None, None), self._fs.loop).result(5)


async def _read_piece(body: Any, size: int) -> bytes:
    """Up to `size` bytes, gathered: the connection hands over a few kilobytes at a time."""
    pieces = []
    while size > 0 and (piece := await body.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
