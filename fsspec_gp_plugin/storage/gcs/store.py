"""Google Cloud Storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ObjectChanged, StorageError
from ..contract import ObjectInfo, Page, PartWriter, Store, Upload
from ..credential_renewal import Renewable
from ..error_translation import http_status, translating
from ..fallbacks import creating, delete_side_by_side, raise_failures
from ..multipart import MULTIPART
from ..pages import Pages
from ..ranged_store import RangedStore
from .answers import GENERATION, described, described_by_headers, no_object_missing
from .bucket import FIELDS, Bucket
from .parts import PartsRefusedError, PartsWriter
from .resumable import SERIAL, ResumableWriter
from .unfinished import abort_listed, last_part_of, listed_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..contract import Capabilities, ObjectInfo, TransportSecurity
    from ..http.answer import Answer
    from .requests import Requests


class GcsStore(Bucket, Renewable, RangedStore):
    """Objects of one bucket below a prefix."""

    tag = GENERATION

    def __init__(self, bucket: str, prefix: str, requests: Requests, *, finds_credentials: bool = True) -> None:
        Renewable.__init__(self, finds_credentials=finds_credentials)
        Bucket.__init__(self, bucket, prefix, requests)

    def __repr__(self) -> str:
        return f"GcsStore(gs://{self.bucket}/{self.prefix})"

    @property
    def capabilities(self) -> Capabilities:
        """What the store can do, as far as is known."""
        if self.takes_parts is False:
            return SERIAL
        return MULTIPART._replace(first_part_shows=self.takes_parts is None)

    def clock_offset(self) -> float | None:
        return self.requests.clock_offset()

    def create(self, key: str, data: memoryview) -> ObjectInfo:
        with creating(self.name(key)):
            return self.put_if(key, data, ifGenerationMatch="0")

    def begin(self, key: str) -> GcsWriter | ResumableWriter:
        return ResumableWriter(self, key) if self.takes_parts is False else GcsWriter(self, key)

    def _get_range(self, key: str, start: int, end: int, version: str | None) -> Answer:
        pinned = {} if version is None else {"generation": version}
        url = self.requests.object_url(self.bucket, self.path(key), alt="media", **pinned)
        try:
            return self.requests.begin("GET", url, {"Range": f"bytes={start}-{end - 1}"}, expected=end - start)
        except Exception as error:
            if http_status(error) == "404" and version is not None:
                # That version is no longer the object, or the object is gone.
                raise ObjectChanged(
                    f"can't read {self.name(key)}: the object was replaced while it was being read"
                ) from error
            raise

    def _require_own(self, key: str, response: Answer) -> None:
        described_by_headers(key, response.headers, response.status)

    def _describe(self, key: str, response: Answer) -> ObjectInfo:
        return described_by_headers(key, response.headers, response.status)

    def crc32c(self, info: ObjectInfo) -> int | None:
        if info.crc32c is not None or self.transport_security().is_encrypted:
            return info.crc32c
        found = self.stat(info.key)
        return found.crc32c if found.version == info.version else None

    def list_pages(self, prefix: str, *, shallow: bool = False, unfinished: bool = False) -> Iterator[Page]:
        fields = f"items({FIELDS}),prefixes,nextPageToken" if shallow else f"items({FIELDS}),nextPageToken"
        query = {"prefix": self.prefix + prefix, "fields": fields, **({"delimiter": "/"} if shallow else {})}

        def request(token: str) -> tuple[Page, str | None]:
            with no_object_missing(f"can't list {self.name(prefix)}"):
                page = self.requests.list(self.bucket, **query, **({"pageToken": token} if token else {}))
            following = str(page.get("nextPageToken") or "")
            if following and following == token:
                raise StorageError(f"can't list {self.name(prefix)}: the store gives the same page again")
            start = len(self.prefix)
            entries = ((str(entry["name"])[start:], entry) for entry in page.get("items") or ())
            # A key that ends in "/" is the marker of a directory, made by some browser of buckets.
            objects = [described(key, entry) for key, entry in entries if key and (unfinished or key[-1] != "/")]
            return Page(objects, [str(one)[start:] for one in page.get("prefixes") or ()]), following or None

        return Pages(request, "")

    def delete(self, keys: Iterable[str]) -> None:
        raise_failures(delete_side_by_side(keys, self._delete, self.name))

    def _delete(self, key: str) -> None:
        self.requests.send("DELETE", self.requests.object_url(self.bucket, self.path(key)))

    def keeps_versions(self, prefix: str) -> bool:
        query = {"prefix": self.prefix + prefix, "versions": "true", "maxResults": "1", "fields": "items(name)"}
        with no_object_missing(f"can't list the versions of {self.name(prefix)}"):
            page = self.requests.list(self.bucket, **query)
        return bool(page.get("items"))

    def find_uploads(self, prefix: str) -> list[Upload]:
        found = listed_below(self.xml, self.path(prefix), self.place)
        return [Upload(one.key[len(self.prefix) :], one.started, one.upload_id) for one in found]

    def last_written(self, upload: Upload) -> float | None:
        path, name = self.path(upload.key), self.name(upload.key)
        return last_part_of(self.xml, path, upload.upload_id, name) or upload.started

    def delete_unfinished(self, prefix: str) -> int:
        # Sessions are not listed: Google charges nothing for them, and ends them after a week.
        return abort_listed(self.xml, listed_below(self.xml, self.path(prefix), self.place), self.place)

    def copy_from(self, source: Store, info: ObjectInfo, key: str) -> ObjectInfo | None:
        if not isinstance(source, GcsStore) or source.requests.fs.base != self.requests.fs.base:
            return None
        paths = (f"{store.bucket}/{store.path(name)}" for store, name in ((source, info.key), (self, key)))
        with translating(f"can't copy {source.name(info.key)} to {self.name(key)}"):
            self.requests.fs.cp_file(*paths)
        found = self.stat(key)
        return found if info.crc32c is None else self.require_same(found, info.size, info.crc32c)

    def transport_security(self) -> TransportSecurity:
        return self.requests.transport_security()

    def credentials_end(self) -> float | None:
        return self.requests.credentials_end()

    def _take_over(self, fresh: GcsStore) -> Callable[[], None]:
        replaced, self.requests = self.requests, fresh.requests
        return replaced.close

    def close(self) -> None:
        self._close_replaced()
        self.requests.close()


class GcsWriter(PartWriter):
    """Writes parts; if the first one shows that the store takes none, it goes on with a resumable upload."""

    def __init__(self, store: GcsStore, key: str) -> None:
        """Makes no request yet."""
        self._store = store
        self._key = key
        self._inner: PartsWriter | ResumableWriter = PartsWriter(store, key)
        self._refusal: PartsRefusedError | None = None
        self._aborted = False

    def write(self, number: int, data: memoryview) -> None:
        try:
            self._inner.write(number, data)
        except PartsRefusedError as refusal:
            self._refusal = refusal
            self._inner = ResumableWriter(self._store, self._key)
            if self._aborted:  # abort() came in between
                raise StorageError(f"can't write {self._store.name(self._key)}: aborted") from None
            self._inner.write(number, data)
        if self._refusal is not None:  # and a session works
            why, self._refusal = self._refusal, None
            if self._store.takes_parts is None:
                cure = " (check the permissions storage.multipartUploads.*)" if http_status(why) == "403" else ""
                self.report(f"{why}{cure}; it goes in one session, part after part")
            self._store.takes_parts = False

    def complete(self, size: int) -> ObjectInfo:
        return self._inner.complete(size)

    def abort(self) -> None:
        self._aborted = True
        self._inner.abort()
