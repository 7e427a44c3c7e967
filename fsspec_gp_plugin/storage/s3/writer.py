"""A multipart upload to S3."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...checksum import in_base64
from ...errors import StorageError, Unreachable
from ..errors import error_code, translated
from ..http.ranges import opaque
from ..multipart import UPLOAD_ENDED, Begun, MultipartWriter
from .answers import writing
from .requests import may_mean_the_way
from .unfinished import abort_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ..contract import ObjectInfo
    from .store import S3Store


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
        answer = self._store.bytes.begin(self._target)
        crc = self._store.bytes.crc_wanted and answer.get("ChecksumAlgorithm") == "CRC32C"
        return Begun(answer["UploadId"], crc, crc and answer.get("ChecksumType") == "FULL_OBJECT")

    def _send(self, begun: Begun, number: int, data: memoryview, crc: int | None) -> tuple[str | None, bool]:
        answer = self._store.bytes.upload_part(
            data, self._cancellation, crc=crc, **self._target, UploadId=begun.upload_id, PartNumber=number
        )
        # All that look at it give it back: what is given back is what most programs complete an upload with.
        is_checked = crc is None or answer.get("x-amz-checksum-crc32c") == in_base64(crc)
        # A proxy may have marked the ETag as weak; the store knows it without that.
        return answer.get("etag", "").removeprefix("W/"), is_checked

    def _give_up_checksums(self, begun: Begun) -> bool:
        data = self._store.bytes
        if data.crc_required:
            return False
        try:
            self._abort(begun.upload_id)
        except Exception as error:  # noqa: BLE001 - none of them ends the stream
            if isinstance(translated(error, ""), Unreachable):
                self._lost_an_answer = True  # it is looked for at the end
            elif error_code(error) not in UPLOAD_ENDED:
                return False  # it may not be aborted, and so goes on
        data.crc_wanted = False
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
                # Whoever answered was no S3.
                raise Unreachable(f"can't write {self._name}: the answer has no ETag")

    def _ask_to_complete(self, begun: Begun, listed: list[dict[str, Any]], whole: dict[str, Any]) -> dict[str, Any]:
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
