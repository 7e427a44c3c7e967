"""S3 and what speaks like it. s3fs finds credentials, signs and sends; parts are written below its file
object, which uploads one at a time and commits after an exception.

All requests run on s3fs' event loop, in its own thread; the callers' threads wait for them.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import time
from contextlib import suppress
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, StorageError
from .api import Capabilities, ObjectInfo
from .deletion import delete_each, raise_failures
from .errors import s3_code, translating

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator
    from concurrent.futures import Future

_PIECE = 1 << 20
_KEYS_A_DELETE = 1000


def open_s3(url: str, options: dict[str, Any]) -> S3Store:
    """The store below an s3:// or s3a:// URL; the options are those of s3fs.S3FileSystem."""
    import s3fs

    options = dict(options)
    _check_names(options, s3fs.S3FileSystem)
    options.update(use_listings_cache=False, skip_instance_cache=True, asynchronous=False)
    config = dict(options.get("config_kwargs") or {})
    # The defaults of s3fs, 5 and 15 s, are shorter than a busy store takes to complete an upload.
    config.setdefault("connect_timeout", 10)
    config.setdefault("read_timeout", 60)
    if _has_custom_endpoint(options):
        # Many stores reject the checksums that botocore adds by default, or keep their framing in the object.
        config.setdefault("request_checksum_calculation", "when_required")
        config.setdefault("response_checksum_validation", "when_required")
    options["config_kwargs"] = config
    bucket, _, prefix = url.partition("://")[2].strip("/").partition("/")
    if not bucket:
        raise ConfigError(f"url {url!r} names no bucket; expected s3://bucket/prefix")
    return S3Store(s3fs.S3FileSystem(**options), bucket, prefix)


def _check_names(options: dict[str, Any], filesystem: type) -> None:
    from aiobotocore.session import AioSession

    # What S3FileSystem does not know it hands to the session, whose complaint names no option.
    known = {
        name
        for kind in (filesystem.__init__, AioSession.__init__)  # type: ignore[misc]
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    } | {"profile", "use_listings_cache", "skip_instance_cache", "listings_expiry_time", "max_paths"}
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise ConfigError(
                f"storage_options: s3fs knows no option {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            )


def _has_custom_endpoint(options: dict[str, Any]) -> bool:
    client = options.get("client_kwargs") or {}
    return bool(
        options.get("endpoint_url")
        or client.get("endpoint_url")
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
    )


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
        with translating(f"can't write {self.name(key)}"):
            answer = self.call("put_object", **self.target(key), Body=bytes(data))
        return ObjectInfo(key, len(data), answer.get("ETag"))

    def begin(self, key: str) -> S3Writer:
        return S3Writer(self, key)

    def stat(self, key: str) -> ObjectInfo:
        with translating(f"can't find {self.name(key)}"):
            answer = self.call("head_object", **self.target(key))
        return ObjectInfo(key, answer["ContentLength"], answer.get("ETag"))

    def read(self, info: ObjectInfo, start: int, end: int) -> Iterator[bytes | memoryview]:
        if start >= end:
            return
        pinned = {"IfMatch": info.version} if info.version else {}
        with translating(f"can't read {self.name(info.key)}"):
            answer = self.call("get_object", **self.target(info.key), Range=f"bytes={start}-{end - 1}", **pinned)
            body = answer["Body"]
            try:
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
            with translating(f"can't list {self.name(prefix)}"):
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
            with suppress(Exception):  # not every store has bulk delete; what else is wrong shows below
                answer = self.call("delete_objects", Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
        if answer is None:
            return delete_each(keys, lambda key: self.call("delete_object", **self.target(key)), self.name)
        return [
            f"can't delete s3://{self._bucket}/{error.get('Key')}: {error.get('Code')}: {error.get('Message')}"
            for error in answer.get("Errors", ())
            if error.get("Code") != "NoSuchKey"
        ]

    def delete_empty_directories(self, prefix: str) -> None:
        pass

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
        with translating(f"can't write {self._store.name(self._key)}"):
            upload_id = self._upload_id()
            answer = self._call("upload_part", UploadId=upload_id, PartNumber=number, Body=bytes(data))
            self._etags[number] = answer["ETag"]

    def complete(self, size: int) -> ObjectInfo:
        name = self._store.name(self._key)
        with translating(f"can't write {name}"):
            parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(self._etags.items())]
            if not parts:  # S3 takes no multipart upload without parts
                self._done = True
                return self._store.put(self._key, memoryview(b""))
            upload_id = self._upload_id()
            self._call("complete_multipart_upload", UploadId=upload_id, MultipartUpload={"Parts": parts})
        self._done = True
        info = self._store.stat(self._key)
        if info.size != size:
            self._store.delete([self._key])
            raise StorageError(f"can't write {name}: the store held {info.size} bytes of {size}; removed")
        return info

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
