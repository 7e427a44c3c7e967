"""A multipart upload to S3."""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from ...checksum import combined, crc32c, in_base64
from ...errors import StorageError, Unreachable
from ..api import ObjectInfo
from ..errors import error_code, http_status, translated, translating, was_never_sent
from ..http.cancellation import Cancellation
from ..http.ranges import opaque
from .answers import writing
from .unfinished import ENDED, abort_of
from .ways import may_mean_the_way

if TYPE_CHECKING:
    from .store import S3Store


class _Part(NamedTuple):
    etag: str
    size: int
    crc: int | None


class _Begun(NamedTuple):
    """An upload that the store knows. `crc`: it checks the parts' CRC-32C, `full`: that of the whole object, too."""

    upload_id: str
    crc: bool
    full: bool


class S3Writer:
    """One multipart upload."""

    def __init__(self, store: S3Store, key: str) -> None:
        """Touches nothing yet."""
        self._store = store
        self._key = key
        self._target = store.target(key)
        self._begun: _Begun | None = None
        # An upload that was asked for and whose answer got lost may be there without a name that we know.
        self._lost_an_answer = False
        self._parts: dict[int, _Part] = {}
        self._crc: int | None = None
        self._done = self._compared = self._aborted = self._completing = self._removed = False
        # A marker for each attempt at a part that was not answered, so it may still arrive.
        self._unanswered: set[object] = set()
        self._cancellation = Cancellation()
        self._beginning = threading.Lock()

    def write(self, number: int, data: memoryview) -> None:
        with writing(self._store.name(self._key)):
            while not self._has_written(self._begin(), number, data):
                pass

    def _has_written(self, begun: _Begun, number: int, data: memoryview) -> bool:
        """Send a part. False where another upload has taken the place of that one, so that it must be sent again."""
        crc = crc32c(data) if begun.crc else None
        asked = object()
        self._unanswered.add(asked)
        try:
            answer = self._store.bytes.upload_part(
                data, self._cancellation, crc=crc, **self._target, UploadId=begun.upload_id, PartNumber=number
            )
        except Exception:
            if self._begun is begun:
                raise
            return False
        etag = answer.get("etag")
        if not etag:
            raise Unreachable("the answer to a part has no ETag, so it is not the store's")
        self._unanswered.discard(asked)
        # All that look at it give it back: what is given back is what most programs complete an upload with.
        is_checked = crc is None or answer.get("x-amz-checksum-crc32c") == in_base64(crc)
        with self._beginning:
            if self._begun is begun and not is_checked and not self._parts:
                self._give_up_crc(begun)
            if self._begun is not begun:
                return False
            # A proxy may have marked it as weak; the store knows it without that.
            self._parts[number] = _Part(etag.removeprefix("W/"), len(data), crc)
            return True

    def _give_up_crc(self, begun: _Begun) -> None:
        """Begin anew without checksums that the store takes and does not look at, as no part counts yet."""
        data = self._store.bytes
        if data.crc_required:
            return
        try:
            self._store.control.call("abort_multipart_upload", **self._target, UploadId=begun.upload_id)
        except Exception as error:
            if isinstance(translated(error, ""), Unreachable):
                raise
            if error_code(error) not in ENDED:
                return  # it may not be aborted, and so goes on
        data.crc_wanted = False
        self._begun = None

    def complete(self, size: int) -> ObjectInfo:
        if not self._parts:  # S3 takes no multipart upload without parts
            return self._store.put(self._key, memoryview(b""))
        if not self._done:
            with writing(self._store.name(self._key)):
                self._check()
                self._crc = self._complete(size)
            self._done = True
            self._remove_lost()
        try:
            info = self._store.require_size(ObjectInfo(self._key, size, None, self._crc))
        except Unreachable:
            raise  # not compared
        except StorageError:
            self._compared = True  # and what came of it is told
            raise
        self._compared = True
        return info

    def _complete(self, size: int) -> int | None:
        begun = self._begin()
        parts = sorted(self._parts.items())
        crc: int | None = None
        whole: dict[str, Any] = {}
        if begun.full:
            crc = 0
            for _, part in parts:
                crc = combined(crc, part.crc or 0, part.size)
            whole = {"ChecksumCRC32C": in_base64(crc), "ChecksumType": "FULL_OBJECT"}
        listed = [
            {
                "PartNumber": number,
                "ETag": part.etag,
                **({} if part.crc is None else {"ChecksumCRC32C": in_base64(part.crc)}),
            }
            for number, part in parts
        ]
        self._completing = True
        try:
            answer = self._ask_to_complete(begun, listed, whole)
        except Exception as error:
            # An earlier attempt, whose answer got lost, may have done it.
            if error_code(error) not in ENDED or not self._is_there(size, crc):
                raise
        else:
            if not answer.get("ETag") and not self._is_there(size, crc):
                # Whoever answered was no S3.
                raise Unreachable(f"can't write {self._store.name(self._key)}: the answer has no ETag")
        return crc

    def _ask_to_complete(self, begun: _Begun, listed: list[dict[str, Any]], whole: dict[str, Any]) -> dict[str, Any]:
        def ask(**checksum: str) -> dict[str, Any]:
            parts = {"Parts": listed}
            answer: dict[str, Any] = self._store.control.call_slow(
                "complete_multipart_upload",
                **self._target,
                UploadId=begun.upload_id,
                MultipartUpload=parts,
                **checksum,
            )
            return answer

        try:
            return ask(**whole)
        except Exception as error:
            if not whole or self._store.bytes.crc_required or not may_mean_the_way(error):
                raise
        # Its parts were checked, and what it tells of the whole object is compared.
        return ask()

    def _is_there(self, size: int, crc: int | None) -> bool:
        """Whether the object at the key is this upload's: by size, checksum, and the ETag that its parts give."""
        found = self._store.look_for(self._key)
        if found is None or found.size != size or (crc is not None and found.crc32c not in (None, crc)):
            return False
        return (crc is not None and found.crc32c == crc) or opaque(found.version) == self._expected_etag()

    def _expected_etag(self) -> str:
        """What stores make of the parts' ETags, which are their MD5: the MD5 of all of those."""
        digests = hashlib.md5(usedforsecurity=False)
        for _, part in sorted(self._parts.items()):
            with suppress(ValueError):
                digests.update(bytes.fromhex(opaque(part.etag)))
        return f"{digests.hexdigest()}-{len(self._parts)}"

    def abort(self) -> None:
        if self._done:
            if not self._compared:
                raise StorageError("the object is complete and visible, but could not be compared with what was sent")
            return
        self._aborted = True
        self._cancellation.cancel()
        # Whoever is just creating the upload is waited for, or it would stay behind.
        with self._beginning:
            begun = self._begun
        if begun is not None:
            with translating(f"can't abort the upload of {self._store.name(self._key)}"):
                self._abort_until_gone(begun.upload_id)
        self._remove_lost()

    def _abort_until_gone(self, upload_id: str) -> None:
        """A part that was on its way may arrive after an abort: repeat it until the store knows no upload."""
        for _ in range(3):
            try:
                self._store.control.call("abort_multipart_upload", **self._target, UploadId=upload_id)
                self._removed = True
            except Exception as error:
                if self._removed and not isinstance(translated(error, ""), Unreachable):
                    return  # whatever it says of what is gone
                if error_code(error) not in ENDED:
                    raise
                if self._completing:
                    raise StorageError("it was being completed, so the whole object may be visible") from error
                return
            if not self._unanswered:
                return
            time.sleep(0.05)

    def _remove_lost(self) -> None:
        if self._lost_an_answer:
            key = self._target["Key"]
            try:
                abort_of(self._store.control, self._target["Bucket"], key)
            except Unreachable:
                if not self._done:
                    raise  # and be called again
            except StorageError:
                pass  # credentials that may not list uploads, or may not abort

    def _begin(self) -> _Begun:
        """The upload; the first thread that needs it creates it."""
        self._check()
        with self._beginning:
            self._check()
            if self._begun is None:
                try:
                    with translating(f"can't begin the upload of {self._store.name(self._key)}"):
                        answer = self._store.bytes.begin(self._target)
                    upload_id = answer["UploadId"]
                except BaseException as error:  # a signal, too
                    # An answer of the store that refuses it is clear; all else may have begun an upload.
                    if not http_status(error).startswith("4") and not was_never_sent(error):
                        self._lost_an_answer = True
                    raise
                crc = self._store.bytes.crc_wanted and answer.get("ChecksumAlgorithm") == "CRC32C"
                self._begun = _Begun(upload_id, crc, crc and answer.get("ChecksumType") == "FULL_OBJECT")
            return self._begun

    def _check(self) -> None:
        if self._aborted:
            raise StorageError("aborted")
