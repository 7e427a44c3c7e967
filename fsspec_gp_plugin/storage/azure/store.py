"""Azure Blob Storage: objects are block blobs, below adlfs' file object, which commits after an exception."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...checksum import crc32c
from ...errors import NotFound, StorageError
from ..contract import Capabilities, ObjectInfo, Store, Upload
from ..credential_renewal import Renewable
from ..errors import error_code, http_status, translating
from ..fallbacks import creating, delete_side_by_side, raise_failures
from ..http.ranges import require_range
from .answers import PLACEHOLDER, ForeignAnswerError, is_object, object_info, require_azure
from .directories import delete_empty
from .unfinished import drop_below, names_below
from .writer import AzureWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..contract import Way
    from ..http.answer import Answer
    from .requests import Blobs


class AzureStore(Renewable, Store):
    """Objects of one container below a prefix."""

    capabilities = Capabilities(
        parallel_parts=True, parallel_reads=True, creates=True, max_part_size=4000 << 20, max_parts=50_000
    )

    def __init__(self, protocol: str, blobs: Blobs, prefix: str, *, finds_credentials: bool = True) -> None:
        """`blobs` makes the requests; `protocol` is for messages."""
        super().__init__(finds_credentials=finds_credentials)
        self.blobs = blobs
        self._protocol = protocol
        self._prefix = f"{prefix}/" if prefix else ""

    def __repr__(self) -> str:
        return f"AzureStore({self.name('')})"

    def clock_offset(self) -> float | None:
        return self.blobs.clock_offset()

    def name(self, key: str) -> str:
        """The object's URL, for messages."""
        return f"{self._protocol}://{self.blobs.container}/{self.path(key)}"

    def path(self, key: str) -> str:
        """The blob's name."""
        return self._prefix + key

    @contextmanager
    def writing(self, key: str) -> Iterator[None]:
        """As translating(), around requests that write an object: none of them can miss one."""
        with self._not_missing(f"can't write {self.name(key)}"):
            yield

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        return self._put(key, data, {})

    def _put(self, key: str, data: memoryview, condition: dict[str, str]) -> ObjectInfo:
        crc = crc32c(data)
        with self.writing(key):
            # The service has compared the bytes with their MD5.
            headers = self.blobs.put(self.path(key), data, crc, condition)
            if not headers.get("etag"):
                raise ForeignAnswerError("it has no ETag")
        return ObjectInfo(key, len(data), headers.get("etag"), crc)

    def create(self, key: str, data: memoryview) -> ObjectInfo:
        with creating(self.name(key)):
            return self._put(key, data, {"If-None-Match": "*"})

    def begin(self, key: str) -> AzureWriter:
        return AzureWriter(self, key)

    def head(self, key: str) -> Mapping[str, str]:
        """The headers of an object; NotFound."""
        with self._finding(key):
            headers = self.blobs.head(self.path(key))
            if not is_object(headers):
                raise NotFound(f"can't find {self.name(key)}: there is no such object")
        return headers

    def stat(self, key: str) -> ObjectInfo:
        headers = self.head(key)
        with self._finding(key):
            return object_info(key, headers, 200)

    def read(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        if not into:
            return
        end = start + len(into)
        with translating(f"can't read {self.name(info.key)}"):
            answer = self.blobs.get(self.path(info.key), start, end, info.version)
            try:
                require_azure(answer.headers)
                require_range(info.key, answer.headers, (start, end), info.size, info.version)
                yield from answer.pieces(into)
            finally:
                answer.end()

    def fetch(self, key: str, into: memoryview) -> tuple[ObjectInfo, Iterator[int]]:
        try:
            with self._finding(key):
                answer = self.blobs.get(self.path(key), 0, len(into), None)
        except StorageError as error:
            if http_status(error) != "416":
                raise
            # The object has no first byte.
            return self.stat(key), iter(())
        try:
            with self._finding(key):
                require_azure(answer.headers)
                if not is_object(answer.headers):
                    raise NotFound(f"can't find {self.name(key)}: there is no such object")
                info = object_info(key, answer.headers, answer.status)
                first = into[: info.size]
                require_range(key, answer.headers, (0, len(first)), info.size, info.version)
        except BaseException:
            answer.end()
            raise
        if not first:
            answer.end()
            return info, iter(())
        return info, self._first_pieces(answer, info, first)

    def _first_pieces(self, answer: Answer, info: ObjectInfo, into: memoryview) -> Iterator[int]:
        with translating(f"can't read {self.name(info.key)}"):
            yield from answer.pieces(into)

    def crc32c(self, info: ObjectInfo) -> int | None:
        if self.way().is_encrypted:
            return None
        if info.crc32c is not None:
            return info.crc32c
        found = self.stat(info.key)
        return found.crc32c if found.version == info.version else None

    @contextmanager
    def _finding(self, key: str) -> Iterator[None]:
        try:
            with translating(f"can't find {self.name(key)}"):
                yield
        except NotFound as error:
            if error_code(error) == "404":
                raise self._no_service(f"can't find {self.name(key)}") from error
            raise

    @contextmanager
    def _not_missing(self, doing: str) -> Iterator[None]:
        try:
            with translating(doing):
                yield
        except NotFound as error:
            raise self._no_service(doing) from error

    @staticmethod
    def _no_service(doing: str) -> StorageError:
        return StorageError(
            f"{doing}: whoever answered is no Azure Blob service; check account_name, account_host and the proxy"
        )

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        with self._not_missing(f"can't list {self.name(prefix)}"):
            for entry in self.blobs.list(self._prefix + prefix):
                key = entry.name[len(self._prefix) :]
                # A name that ends in "/" is the marker of a directory, made by some browser of blobs.
                hidden = entry.headers.get(PLACEHOLDER) is not None or key.endswith("/")
                if key and not entry.is_directory and (unfinished or not hidden):
                    yield ObjectInfo(key, entry.size, entry.etag, modified=entry.modified, archived=entry.archived)

    def delete(self, keys: Iterable[str]) -> None:
        # Each deletion is a request of its own: many programs' credentials don't allow batches of them.
        raise_failures(delete_side_by_side(keys, lambda key: self.blobs.delete(self.path(key)), self.name))

    def keeps_versions(self, prefix: str) -> bool:
        del prefix  # soft delete and versions are the account's own business
        return False

    def find_uploads(self, prefix: str) -> list[Upload]:
        return [Upload(name[len(self._prefix) :]) for name in names_below(self.blobs, self._prefix + prefix)]

    def last_written(self, upload: Upload) -> float | None:
        return upload.started

    def delete_unfinished(self, prefix: str) -> int:
        return drop_below(self.blobs, self._prefix + prefix)

    def delete_empty_directories(self, prefix: str) -> None:
        folder = prefix.rstrip("/")
        if folder:
            delete_empty(self.blobs, self._prefix, folder)

    def way(self) -> Way:
        return self.blobs.way

    def credentials_end(self) -> float | None:
        return self.blobs.credentials_end()

    def _take_over(self, fresh: AzureStore) -> Callable[[], None]:
        replaced, self.blobs = self.blobs, fresh.blobs
        return replaced.close

    def close(self) -> None:
        self._close_replaced()
        self.blobs.close()
