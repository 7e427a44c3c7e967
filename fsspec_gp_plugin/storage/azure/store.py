"""Azure Blob Storage: objects are block blobs, below adlfs' file object, which commits after an exception."""

from __future__ import annotations

import base64
import secrets
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...checksum import combined, crc32c
from ...errors import AccessDenied, NotFound, StorageError, Unreachable
from ..contract import Capabilities, ObjectInfo, Page, PartWriter, Upload
from ..credential_renewal import Renewable
from ..error_translation import error_code, http_status, no_object_missing, translating
from ..fallbacks import creating, delete_side_by_side, raise_failures
from ..http.cancellation import Cancellation
from ..pages import Pages
from ..ranged_store import RangedStore
from .answers import PLACEHOLDER, WRITER, ForeignAnswerError, is_object, object_info, require_azure
from .unfinished import abort_below, delete_empty, names_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from ..contract import TransportSecurity
    from ..http.answer import Answer
    from .requests import Blobs


_NO_SERVICE = "the server there is not an Azure Blob service; check account_name, account_host and the proxy"


class AzureStore(Renewable, RangedStore):
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
        """Return the object's URL, for messages."""
        return f"{self._protocol}://{self.blobs.container}/{self.path(key)}"

    def path(self, key: str) -> str:
        """Return the blob's name."""
        return self._prefix + key

    def writing(self, key: str) -> AbstractContextManager[None]:
        """As translating(), around requests that write an object: a 404 then means that the container is missing."""
        return no_object_missing(f"can't write {self.name(key)}", _NO_SERVICE)

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
        """Return the headers of an object. Raises NotFound."""
        with self.finding(key):
            headers = self.blobs.head(self.path(key))
            if not is_object(headers):
                raise NotFound(f"can't find {self.name(key)}: there is no such object")
        return headers

    def stat(self, key: str) -> ObjectInfo:
        headers = self.head(key)
        with self.finding(key):
            return object_info(key, headers, 200)

    def _get_range(self, key: str, start: int, end: int, version: str | None) -> Answer:
        return self.blobs.get(self.path(key), start, end, version)

    def _require_own(self, key: str, response: Answer) -> None:
        del key
        require_azure(response.headers)

    def _describe(self, key: str, response: Answer) -> ObjectInfo:
        require_azure(response.headers)
        if not is_object(response.headers):
            raise NotFound(f"can't find {self.name(key)}: there is no such object")
        return object_info(key, response.headers, response.status)

    def crc32c(self, info: ObjectInfo) -> int | None:
        if self.transport_security().is_encrypted:
            return None
        if info.crc32c is not None:
            return info.crc32c
        found = self.stat(info.key)
        return found.crc32c if found.version == info.version else None

    @contextmanager
    def finding(self, key: str) -> Iterator[None]:
        try:
            with translating(f"can't find {self.name(key)}"):
                yield
        except NotFound as error:
            if error_code(error) == "404":
                raise StorageError(f"can't find {self.name(key)}: {_NO_SERVICE}") from error
            raise

    def list_pages(self, prefix: str, *, shallow: bool = False, unfinished: bool = False) -> Iterator[Page]:
        start = len(self._prefix)

        def request(marker: str) -> tuple[Page, str | None]:
            with no_object_missing(f"can't list {self.name(prefix)}", _NO_SERVICE):
                page = self.blobs.page(self._prefix + prefix, marker, shallow=shallow)
            objects = []
            for entry in page.entries:
                key = entry.name[start:]
                # A name that ends in "/" is the marker of a directory, made by some browser of blobs.
                hidden = entry.headers.get(PLACEHOLDER) is not None or key.endswith("/")
                if key and not entry.is_directory and (unfinished or not hidden):
                    info = ObjectInfo(key, entry.size, entry.etag, modified=entry.modified, archived=entry.archived)
                    objects.append(info)
            return Page(objects, [one[start:] for one in page.folders]), page.following or None

        return Pages(request, "")

    def delete(self, keys: Iterable[str]) -> None:
        # Each deletion is a request of its own: many programs' credentials don't allow batches of them.
        raise_failures(delete_side_by_side(keys, lambda key: self.blobs.delete(self.path(key)), self.name))

    def find_uploads(self, prefix: str) -> list[Upload]:
        return [Upload(name[len(self._prefix) :]) for name in names_below(self.blobs, self._prefix + prefix)]

    def delete_unfinished(self, prefix: str) -> int:
        return abort_below(self.blobs, self._prefix + prefix)

    def delete_empty_directories(self, prefix: str) -> None:
        folder = prefix.rstrip("/")
        if folder:
            delete_empty(self.blobs, self._prefix, folder)

    def transport_security(self) -> TransportSecurity:
        return self.blobs.transport_security

    def credentials_end(self) -> float | None:
        return self.blobs.credentials_end()

    def _take_over(self, fresh: AzureStore) -> Callable[[], None]:
        replaced, self.blobs = self.blobs, fresh.blobs
        return replaced.close

    def close(self) -> None:
        self._close_replaced()
        self.blobs.close()


_LOOKS = 3


@dataclass(frozen=True)
class _Part:
    size: int
    crc: int


class AzureWriter(PartWriter):
    """Uploads the blocks of one blob. The service keeps the blocks of all writers of a name together, so each writer
    has a name of its own in its block ids: a blob never contains a block of another writer.
    """

    def __init__(self, store: AzureStore, key: str) -> None:
        """Makes no request yet."""
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
            self._compared = True  # its outcome is an error or a result
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
        """Return whether the blob of that name was made by this writer."""
        try:
            return self._store.head(self._key).get(WRITER) == self._writer
        except (NotFound, AccessDenied):
            return False

    def _require(self, written: ObjectInfo) -> ObjectInfo:
        """Compare the blob with what was sent; delete it if it differs.

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
        """Delete the blob if the request that completes it has made it visible, or still may."""
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
