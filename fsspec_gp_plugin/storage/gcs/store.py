"""Google Cloud Storage."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ...checksum import crc32c, in_base64
from ...errors import AccessDenied, NotFound, ObjectChanged, StorageError
from ..contract import ObjectInfo, Store, Upload
from ..credential_renewal import Renewable
from ..errors import http_status, translating
from ..fallbacks import creating, delete_side_by_side, raise_failures
from ..http.ranges import require_range
from ..multipart import MULTIPART
from .answers import GENERATION, described, described_by_headers, no_object_missing
from .resumable import SERIAL, ResumableWriter
from .unfinished import abort_listed, last_part_of, listed_below
from .writer import GcsWriter
from .xml import Xml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..contract import Capabilities, Way
    from ..http.answer import Answer
    from .requests import Requests

_FIELDS = "name,size,generation,crc32c,timeCreated"


class GcsStore(Renewable, Store):
    """Objects of one bucket below a prefix."""

    def __init__(self, bucket: str, prefix: str, requests: Requests, *, finds_credentials: bool = True) -> None:
        super().__init__(finds_credentials=finds_credentials)
        self.bucket = bucket
        self.requests = requests
        self.xml = Xml(lambda: self.requests, bucket)
        self._prefix = f"{prefix}/" if prefix else ""
        # Whether it takes uploads in parts; None until the first one shows it.
        self.takes_parts: bool | None = None

    def __repr__(self) -> str:
        return f"GcsStore(gs://{self.bucket}/{self._prefix})"

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, as far as is known by now."""
        if self.takes_parts is False:
            return SERIAL
        return MULTIPART._replace(first_part_shows=self.takes_parts is None)

    @property
    def place(self) -> str:
        """Where whole keys begin, for messages."""
        return f"gs://{self.bucket}/"

    def clock_offset(self) -> float | None:
        return self.requests.clock_offset()

    def path(self, key: str) -> str:
        """The object's name in the bucket."""
        return self._prefix + key

    def name(self, key: str) -> str:
        """The object's URL, for messages."""
        return f"gs://{self.bucket}/{self._prefix}{key}"

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        return self._put(key, data)

    def _put(self, key: str, data: memoryview, **condition: str) -> ObjectInfo:
        crc = crc32c(data)
        about = {"name": self.path(key), "contentType": "application/octet-stream", "crc32c": in_base64(crc)}
        # In one body with what is said of them, so that the store refuses bytes of another checksum.
        boundary = secrets.token_hex(16)
        kind = f"Content-Type: {about['contentType']}\r\n\r\n"
        head = f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{json.dumps(about)}\r\n--{boundary}\r\n{kind}"
        body = b"".join((head.encode(), data, f"\r\n--{boundary}--\r\n".encode()))
        with no_object_missing(f"can't write {self.name(key)}"):
            url = self.requests.upload_url(self.bucket, uploadType="multipart", **condition)
            headers = {"Content-Type": f"multipart/related; boundary={boundary}"}
            _, _, resource = self.requests.send("POST", url, headers, memoryview(body))
            return self.require_same(described(key, resource), len(data), crc)

    def create(self, key: str, data: memoryview) -> ObjectInfo:
        with creating(self.name(key)):
            return self._put(key, data, ifGenerationMatch="0")

    def begin(self, key: str) -> GcsWriter | ResumableWriter:
        return ResumableWriter(self, key) if self.takes_parts is False else GcsWriter(self, key)

    def stat(self, key: str) -> ObjectInfo:
        with self._finding(key):
            url = self.requests.object_url(self.bucket, self.path(key), fields=_FIELDS)
            _, _, resource = self.requests.send("GET", url)
            return described(key, resource)

    def read(self, info: ObjectInfo, start: int, into: memoryview) -> Iterator[int]:
        if not into:
            return
        end = start + len(into)
        with translating(f"can't read {self.name(info.key)}"):
            try:
                answer = self._get(info.key, start, end, info.version)
            except Exception as error:
                if http_status(error) == "404" and info.version is not None:
                    # That version is no longer the object, or there is none any more.
                    raise ObjectChanged(
                        f"can't read {self.name(info.key)}: the object was replaced while it was being read"
                    ) from error
                raise
            try:
                described_by_headers(info.key, answer.headers, answer.status)  # else it is not the store's
                require_range(info.key, answer.headers, (start, end), info.size, info.version, tag=GENERATION)
                yield from answer.pieces(into)
            finally:
                answer.end()

    def fetch(self, key: str, into: memoryview) -> tuple[ObjectInfo, Iterator[int]]:
        try:
            with self._finding(key):
                answer = self._get(key, 0, len(into), None)
        except StorageError as error:
            if http_status(error) != "416":
                raise
            # The object has no first byte.
            return self.stat(key), iter(())
        try:
            with translating(f"can't read {self.name(key)}"):
                info = described_by_headers(key, answer.headers, answer.status)
                first = into[: info.size]
                require_range(key, answer.headers, (0, len(first)), info.size, info.version, tag=GENERATION)
        except BaseException:
            answer.end()
            raise
        return info, self._first_pieces(answer, info, first)

    def _first_pieces(self, answer: Answer, info: ObjectInfo, into: memoryview) -> Iterator[int]:
        with translating(f"can't read {self.name(info.key)}"):
            yield from answer.pieces(into)

    def _get(self, key: str, start: int, end: int, generation: str | None) -> Answer:
        pinned = {} if generation is None else {"generation": generation}
        url = self.requests.object_url(self.bucket, self.path(key), alt="media", **pinned)
        return self.requests.begin("GET", url, {"Range": f"bytes={start}-{end - 1}"}, expected=end - start)

    def crc32c(self, info: ObjectInfo) -> int | None:
        if info.crc32c is not None or self.way().is_encrypted:
            return info.crc32c
        found = self.stat(info.key)
        return found.crc32c if found.version == info.version else None

    def find(self, prefix: str, *, unfinished: bool = False) -> Iterator[ObjectInfo]:
        asked = {"prefix": self._prefix + prefix, "fields": f"items({_FIELDS}),nextPageToken"}
        while True:
            with no_object_missing(f"can't list {self.name(prefix)}"):
                page = self.requests.list(self.bucket, **asked)
            for entry in page.get("items") or ():
                key = str(entry["name"])[len(self._prefix) :]
                # A key that ends in "/" is the marker of a directory, made by some browser of buckets.
                if key and (unfinished or not key.endswith("/")):
                    yield described(key, entry)
            token = page.get("nextPageToken")
            if not token:
                return
            if token == asked.get("pageToken"):
                raise StorageError(f"can't list {self.name(prefix)}: the store gives the same page again")
            asked["pageToken"] = str(token)

    def delete(self, keys: Iterable[str]) -> None:
        raise_failures(delete_side_by_side(keys, self._delete, self.name))

    def _delete(self, key: str) -> None:
        self.requests.send("DELETE", self.requests.object_url(self.bucket, self.path(key)))

    def delete_version(self, info: ObjectInfo) -> None:
        """Delete an object unless it has been replaced."""
        url = self.requests.object_url(self.bucket, self.path(info.key), ifGenerationMatch=str(info.version))
        with suppress(NotFound, ObjectChanged), translating(f"can't delete {self.name(info.key)}"):
            self.requests.send("DELETE", url)

    def keeps_versions(self, prefix: str) -> bool:
        asked = {"prefix": self._prefix + prefix, "versions": "true", "maxResults": "1", "fields": "items(name)"}
        with no_object_missing(f"can't list the versions of {self.name(prefix)}"):
            page = self.requests.list(self.bucket, **asked)
        return bool(page.get("items"))

    def find_uploads(self, prefix: str) -> list[Upload]:
        found = listed_below(self.xml, self.path(prefix), self.place)
        return [Upload(one.key[len(self._prefix) :], one.started, one.upload_id) for one in found]

    def last_written(self, upload: Upload) -> float | None:
        path, name = self.path(upload.key), self.name(upload.key)
        return last_part_of(self.xml, path, upload.upload_id, name) or upload.started

    def delete_unfinished(self, prefix: str) -> int:
        # Sessions are not listed: Google charges nothing for them, and ends them after a week.
        return abort_listed(self.xml, listed_below(self.xml, self.path(prefix), self.place), self.place)

    def delete_empty_directories(self, prefix: str) -> None:
        pass

    def require_same(self, found: ObjectInfo, size: int, crc: int) -> ObjectInfo:
        """Compare what the store has with what was sent, size and checksum; an object that differs is deleted."""
        name = self.name(found.key)
        if found.size != size:
            problem = f"can't write {name}: the store held {found.size} bytes of {size}"
        elif found.crc32c is not None and found.crc32c != crc:
            problem = f"can't write {name}: the store held bytes of another checksum"
        else:
            return found
        try:
            self.delete_version(found)
        except StorageError as error:
            raise StorageError(f"{problem}; it could not be removed: {error}") from error
        raise StorageError(f"{problem}; removed")

    @contextmanager
    def _finding(self, key: str) -> Iterator[None]:
        try:
            with translating(f"can't find {self.name(key)}"):
                yield
        except NotFound:
            self._require_bucket()
            raise

    def _require_bucket(self) -> None:
        """Tell a missing bucket from a missing object: both are a 404."""
        with suppress(AccessDenied), no_object_missing(f"can't find {self.name('')}"):
            self.requests.list(self.bucket, maxResults="1", fields="nextPageToken")

    def copy_from(self, source: Store, info: ObjectInfo, key: str) -> ObjectInfo | None:
        if not isinstance(source, GcsStore) or source.requests.fs.base != self.requests.fs.base:
            return None
        paths = (f"{store.bucket}/{store.path(name)}" for store, name in ((source, info.key), (self, key)))
        with translating(f"can't copy {source.name(info.key)} to {self.name(key)}"):
            self.requests.fs.cp_file(*paths)
        found = self.stat(key)
        return found if info.crc32c is None else self.require_same(found, info.size, info.crc32c)

    def way(self) -> Way:
        return self.requests.way()

    def credentials_end(self) -> float | None:
        return self.requests.credentials_end()

    def _take_over(self, fresh: GcsStore) -> Callable[[], None]:
        replaced, self.requests = self.requests, fresh.requests
        return replaced.close

    def close(self) -> None:
        self._close_replaced()
        self.requests.close()
