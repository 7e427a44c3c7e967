"""Objects of an S3 bucket, and multipart uploads to it. The bytes don't go through the file object of s3fs: it uploads
one part at a time, and commits after an exception.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ...checksum import crc32c, from_base64, in_base64
from ...errors import AccessDenied, NotFound, StorageError, Unreachable
from ..contract import ObjectInfo, Page, Store, Upload
from ..credential_renewal import Renewable
from ..error_translation import error_code, translated, translating
from ..fallbacks import creating, raise_failures
from ..http.answer import opaque
from ..multipart import MULTIPART, UPLOAD_ENDED, Begun, MultipartWriter
from ..ranged_store import RangedStore
from .answers import is_form_refused, no_object_missing, object_size, require_etag, require_listing, writing
from .bulk_deletion import Deletion
from .listing import list_below
from .senders import Request
from .unfinished import abort_below, abort_of, last_part_of, uploads_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from ..contract import TransportSecurity
    from ..http.answer import Answer
    from .control_plane import Control
    from .credentials import Credentials
    from .requests import Requests
    from .senders import S3fsAnswer

_LOOKS = 5
# Beyond this s3fs copies part by part.
_LARGEST_IN_ONE = 5 << 30
_BLOCK = 512 << 20
_PARTS = 9000
_WITHOUT_CHECKSUMS = "`config_kwargs: {request_checksum_calculation: when_required}` in storage_options"


class S3Store(Renewable, RangedStore):
    """Objects of one bucket below a prefix."""

    capabilities = MULTIPART

    def __init__(
        self,
        bucket: str,
        prefix: str,
        control: Control,
        requests: Requests,
        transport_security: Callable[[], TransportSecurity],
        credentials: Credentials,
    ) -> None:
        """`control` makes the small requests, `requests` those with bytes of objects."""
        super().__init__(finds_credentials=credentials.are_found)
        self._credentials = credentials
        self.control = control
        self.requests = requests
        self._transport_security = transport_security
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._deletion = Deletion(lambda: self.control, bucket)

    def __repr__(self) -> str:
        return f"S3Store(s3://{self._bucket}/{self._prefix})"

    def clock_offset(self) -> float | None:
        return self.requests.sender.clock_offset()

    def name(self, key: str) -> str:
        """The object's URL, for messages."""
        return f"s3://{self._bucket}/{self._prefix}{key}"

    def target(self, key: str) -> dict[str, str]:
        """The bucket and key parameters of a request on an object."""
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        with writing(self.name(key)):
            headers, is_proven = self.requests.put(data, self.target(key))
            require_etag(headers, self.name(key))
        if is_proven:
            return ObjectInfo(key, len(data), headers["etag"])
        return self.require_size(ObjectInfo(key, len(data), headers["etag"], crc32c(data)))

    def create(self, key: str, data: memoryview) -> ObjectInfo:
        with creating(self.name(key)), writing(self.name(key)):
            headers, _ = self.requests.put(data, {**self.target(key), "IfNoneMatch": "*"})
            require_etag(headers, self.name(key))
        # Not compared as by put(), which deletes what differs: a store that ignores the condition may hold the object
        # of somebody else.
        return ObjectInfo(key, len(data), headers["etag"], crc32c(data))

    def begin(self, key: str) -> S3Writer:
        return S3Writer(self, key)

    def stat(self, key: str) -> ObjectInfo:
        with self.finding(key):
            headers = self.requests.head(self.target(key))
        crc = from_base64(headers.get("x-amz-checksum-crc32c"))
        return ObjectInfo(key, object_size(headers, 200), headers.get("etag"), crc)

    def _get_range(self, key: str, start: int, end: int, version: str | None) -> Answer | S3fsAnswer:
        return self.requests.get(self.target(key), start, end, version)

    def _describe(self, key: str, response: Answer | S3fsAnswer) -> ObjectInfo:
        return ObjectInfo(key, object_size(response.headers, response.status), response.headers.get("etag"))

    def crc32c(self, info: ObjectInfo) -> int | None:
        if info.crc32c is not None or not self.requests.checksums.crc_wanted or self.transport_security().is_encrypted:
            return info.crc32c
        current = self.stat(info.key)
        return current.crc32c if current.version == info.version else None

    @contextmanager
    def finding(self, key: str) -> Iterator[None]:
        try:
            with translating(f"can't find {self.name(key)}"):
                yield
        except NotFound:
            self._require_bucket()
            raise

    def list_pages(self, prefix: str, *, shallow: bool = False, unfinished: bool = False) -> Iterator[Page]:
        start = len(self._prefix)

        def without_prefix(page: Page) -> Page:
            # A key that ends in "/" is the marker of a directory that some bucket browser made.
            found = (info for info in page.objects if len(info.key) > start and (unfinished or info.key[-1] != "/"))
            return Page([info._replace(key=info.key[start:]) for info in found], [one[start:] for one in page.folders])

        pages = list_below(lambda: self.requests, self._bucket, self._prefix + prefix, shallow=shallow)
        return map(without_prefix, pages) if start or not unfinished else pages

    def delete(self, keys: Iterable[str]) -> None:
        raise_failures(self._deletion.delete(self._prefix + key for key in keys))

    def _require_bucket(self) -> None:
        """Raises StorageError if the bucket is missing: HEAD answers a missing bucket and a missing object alike."""
        with suppress(AccessDenied), no_object_missing(f"can't find {self.name('')}"):
            self.control.call("head_bucket", Bucket=self._bucket)

    def require_size(self, written: ObjectInfo) -> ObjectInfo:
        """Compare size and checksum of the stored object with what was sent; an object that differs is deleted.

        Credentials that may not read can't compare; the store has acknowledged every part to them.
        """
        name = self.name(written.key)
        try:
            stored = self.look_for(written.key)
        except AccessDenied:
            return written
        if stored is None:
            raise StorageError(f"can't write {name}: the store acknowledged it, and it is not there")
        if stored.size != written.size:
            problem, cure = f"can't write {name}: the store held {stored.size} bytes of {written.size}", ""
        elif None not in (stored.crc32c, written.crc32c) and stored.crc32c != written.crc32c:
            problem = f"can't write {name}: the store held bytes of another checksum"
            cure = f". A store that says so of every object takes checksums and loses them: set {_WITHOUT_CHECKSUMS}"
        else:
            return stored
        try:
            self.delete([written.key])
        except StorageError as error:
            raise StorageError(f"{problem}; it could not be removed: {error}") from error
        raise StorageError(f"{problem}; removed{cure}")

    def look_for(self, key: str) -> ObjectInfo | None:
        """An object that should exist, though the store may take some seconds to show it; None if it does not exist."""
        for look in range(_LOOKS):
            if look:
                time.sleep(1)
            with suppress(NotFound):
                return self.stat(key)
        return None

    def keeps_versions(self, prefix: str) -> bool:
        with no_object_missing(f"can't list the versions of {self.name(prefix)}"):
            page = self.control.call("list_object_versions", Bucket=self._bucket, Prefix=self._prefix + prefix)
            require_listing(page)
        return bool(page.get("Versions"))

    def find_uploads(self, prefix: str) -> list[Upload]:
        uploads = uploads_below(self.control, self._bucket, self._prefix + prefix)
        return [Upload(one.key[len(self._prefix) :], one.started, one.upload_id) for one in uploads]

    def last_written(self, upload: Upload) -> float | None:
        return last_part_of(self.control, self.target(upload.key), upload.upload_id) or upload.started

    def delete_unfinished(self, prefix: str) -> int:
        return abort_below(self.control, self._bucket, self._prefix + prefix)

    def copy_from(self, source: Store, info: ObjectInfo, key: str) -> ObjectInfo | None:
        if not isinstance(source, S3Store) or source.control.endpoint() != self.control.endpoint():
            return None
        parts = {"block": max(_BLOCK, -(-info.size // _PARTS))} if info.size > _LARGEST_IN_ONE else {}
        paths = "/".join(source.target(info.key).values()), "/".join(self.target(key).values())
        with translating(f"can't copy {source.name(info.key)} to {self.name(key)}"):
            copy = self.control.fs._cp_file(*paths, **parts)  # noqa: SLF001 - nothing public copies in blocks
            self.control.outcome(self.control.submit(copy), size=info.size)
        return self.require_size(info._replace(key=key, version=None))

    def warm_up(self) -> None:
        self.control.client()

    def transport_security(self) -> TransportSecurity:
        return self._transport_security()

    def credentials_end(self) -> float | None:
        return self._credentials.end()

    def _take_over(self, fresh: S3Store) -> Callable[[], None]:
        replaced = self.requests.sender, self.control
        self.control, self.requests, self._transport_security = fresh.control, fresh.requests, fresh._transport_security
        self._credentials = fresh._credentials

        def close() -> None:
            for one in replaced:
                one.close()

        return close

    def close(self) -> None:
        self._close_replaced()
        self.requests.sender.close()
        self.control.close()


class S3Writer(MultipartWriter):
    """One multipart upload."""

    def __init__(self, store: S3Store, key: str) -> None:
        """Touches nothing yet."""
        super().__init__(key, store.name(key))
        self._store = store
        self._target = store.target(key)

    def _writing(self) -> AbstractContextManager[None]:
        return writing(self._name)

    def _create(self) -> Begun:
        answer = self._store.requests.create_upload(self._target)
        crc = self._store.requests.checksums.crc_wanted and answer.get("ChecksumAlgorithm") == "CRC32C"
        return Begun(answer["UploadId"], crc, crc and answer.get("ChecksumType") == "FULL_OBJECT")

    def _send(self, begun: Begun, number: int, data: memoryview, crc: int | None) -> tuple[str | None, bool]:
        requests = self._store.requests
        part = {**self._target, "UploadId": begun.upload_id, "PartNumber": number}
        part |= requests.checksums.protection(data, crc)
        headers = requests.sender.send(Request("upload_part", part, data, cancellation=self._cancellation)).headers
        # Every store that checks it returns it, as most programs complete an upload with what was returned.
        is_checked = crc is None or headers.get("x-amz-checksum-crc32c") == in_base64(crc)
        # A proxy may have marked the ETag as weak; the store knows it without that.
        return headers.get("etag", "").removeprefix("W/"), is_checked

    def _give_up_checksums(self, begun: Begun) -> bool:
        checksums = self._store.requests.checksums
        if checksums.crc_required:
            return False
        try:
            self._abort(begun.upload_id)
        except Exception as error:  # noqa: BLE001 - none of them ends the stream
            if isinstance(translated(error, ""), Unreachable):
                self._lost_an_answer = True  # _remove_lost() looks for it
            elif error_code(error) not in UPLOAD_ENDED:
                return False  # it can't be aborted, so it continues
        checksums.crc_wanted = False
        return True

    def _finish(self, begun: Begun, size: int, *, again: bool) -> None:
        del again  # transport and proxies repeat requests, too
        crc, whole = self._crc, {}
        if crc is not None:
            whole = {"ChecksumCRC32C": in_base64(crc), "ChecksumType": "FULL_OBJECT"}
        listed = [
            {
                "PartNumber": number,
                "ETag": part.etag,
                **({} if part.crc is None else {"ChecksumCRC32C": in_base64(part.crc)}),
            }
            for number, part in sorted(self._parts.items())
        ]
        try:
            answer = self._ask_to_complete(begun, listed, whole)
        except Exception as error:
            # An earlier attempt, whose answer got lost, may have done it.
            if error_code(error) not in UPLOAD_ENDED or not self._is_there(size, crc):
                raise
        else:
            if not answer.get("ETag") and not self._is_there(size, crc):
                # No S3 store answers so.
                raise Unreachable(f"can't write {self._name}: the answer has no ETag")

    def _ask_to_complete(self, begun: Begun, listed: list[dict[str, Any]], whole: dict[str, Any]) -> dict[str, Any]:
        ask = partial(
            self._store.control.call_slow,
            "complete_multipart_upload",
            **self._target,
            UploadId=begun.upload_id,
            MultipartUpload={"Parts": listed},
        )
        answer: dict[str, Any]
        if whole:
            try:
                answer = ask(**whole)
            except Exception as error:
                if self._store.requests.checksums.crc_required or not is_form_refused(error):
                    raise
            else:
                return answer
        # The store has checked the parts, and the checksum that it keeps of the whole object is compared later.
        answer = ask()
        return answer

    def _is_there(self, size: int, crc: int | None) -> bool:
        """Whether the object at the key is this upload's, by size, checksum and ETag."""
        stored = self._store.look_for(self._key)
        if stored is None or stored.size != size or (crc is not None and stored.crc32c not in (None, crc)):
            return False
        return (crc is not None and stored.crc32c == crc) or opaque(stored.version) == self._expected_etag()

    def _expected_etag(self) -> str:
        """The ETag that stores give such an object: the MD5 of the parts' ETags, which are MD5 themselves."""
        digests = hashlib.md5(usedforsecurity=False)
        for _, part in sorted(self._parts.items()):
            with suppress(ValueError):
                digests.update(bytes.fromhex(opaque(part.etag)))
        return f"{digests.hexdigest()}-{len(self._parts)}"

    def _compare(self, written: ObjectInfo) -> ObjectInfo:
        return self._store.require_size(written)

    def _write_nothing(self) -> ObjectInfo:
        return self._store.put(self._key, memoryview(b""))

    def _abort(self, upload_id: str) -> None:
        self._store.control.call("abort_multipart_upload", **self._target, UploadId=upload_id)

    def _abort_all(self) -> None:
        abort_of(self._store.control, self._target["Bucket"], self._target["Key"])

    def _remove_completed(self) -> None:
        if self._done:
            raise StorageError("the object is complete and visible, but could not be compared with what was sent")
        raise StorageError("it was being completed, so the whole object may be visible")
