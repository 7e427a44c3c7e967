"""How the bytes of objects travel to and from S3: by presigned requests on connections of our own where the
store takes them, else through s3fs, which can express everything; protected by CRC-32C where the store checks
it, else by MD5, which all of them check.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, TypeVar

from ...checksum import crc32c, in_base64
from ...errors import CredentialsEnded
from ..errors import error_code, http_status, translated
from ..http.ranges import opaque
from .readings import DirectReading, PlainReading
from .signing import CannotPresignError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..http.cancellation import Cancellation
    from .control import Control
    from .direct import Direct
    from .readings import Reading

_T = TypeVar("_T")
# Answers of a store, or of what stands before it, that may mean "not in this way".
_WAY_REFUSED = {"301", "307", "308", "400", "401", "403", "405", "411", "501", "505"}
# They mean the bytes or the object, whichever way they came.
_NOT_THE_WAY = {
    "BadDigest", "EntityTooLarge", "EntityTooSmall", "ExpiredToken", "ExpiredTokenException", "IncompleteBody",
    "InvalidPart", "InvalidToken", "InvalidTokenId", "NoSuchUpload", "RequestExpired", "RequestTimeout",
    "RequestTimeTooSkewed", "SlowDown", "TokenRefreshRequired",
    "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch",
}  # fmt: skip


class S3Bytes:
    """The bytes of one bucket's objects."""

    def __init__(self, control: Control, direct: Direct | None, *, checksums: bool | None) -> None:
        """`checksums`: send CRC-32C (True), don't (False), or find out (None). Without `direct` all goes by s3fs."""
        self._control = control
        self._direct = direct
        # Once something has worked, a refusal means the request, not the way.
        self._direct_works = False
        self.crc_required = self._crc_works = checksums is True
        self.crc_wanted = checksums is not False

    def clock_offset(self) -> float | None:
        """The last answer's Date, and this host's time when it came."""
        return self._direct.clock_offset() if self._direct is not None else None

    def put(self, data: memoryview, cancellation: Cancellation, **parameters: Any) -> tuple[Mapping[str, str], bool]:
        """Store a whole object; returns the answer's headers, and whether they prove what the store holds."""
        crc = in_base64(crc32c(data)) if self.crc_wanted else None
        if crc is not None:
            try:
                answer = self._send("put_object", data, cancellation, {**parameters, "ChecksumCRC32C": crc})
            except Exception as error:
                if self._crc_works or not may_mean_the_way(error):
                    raise
            else:
                self._crc_works = True
                if answer.get("x-amz-checksum-crc32c") == crc:
                    return answer, True
                return answer, is_md5(answer, hashlib.md5(data, usedforsecurity=False).digest())
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        answer = self._send("put_object", data, cancellation, {**parameters, "ContentMD5": _in_base64(digest)})
        self.crc_wanted = False
        return answer, is_md5(answer, digest)

    def begin(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Create a multipart upload; the answer tells by `ChecksumAlgorithm` whether the store checks CRC-32C."""
        if self.crc_wanted:
            try:
                answer: dict[str, Any] = self._control.call(
                    "create_multipart_upload", **parameters, ChecksumAlgorithm="CRC32C", ChecksumType="FULL_OBJECT"
                )
            except Exception as error:
                if self._crc_works or not may_mean_the_way(error):
                    raise
            else:
                self._crc_works = self._crc_works or answer.get("ChecksumAlgorithm") == "CRC32C"
                return answer
        answer = self._control.call("create_multipart_upload", **parameters)
        self.crc_wanted = False
        return answer

    def upload_part(
        self, data: memoryview, cancellation: Cancellation, *, crc: int | None, **parameters: Any
    ) -> Mapping[str, str]:
        """Send a part, protected by its CRC-32C where that is given, else by its MD5."""
        if crc is not None:
            protection = {"ChecksumCRC32C": in_base64(crc)}
        else:
            protection = {"ContentMD5": _in_base64(hashlib.md5(data, usedforsecurity=False).digest())}
        return self._send("upload_part", data, cancellation, {**parameters, **protection})

    def head(self, **target: str) -> Mapping[str, str]:
        """The headers of an object, its checksum among them where the store keeps one and takes that question."""
        if self.crc_wanted:
            try:
                return self._head({**target, "ChecksumMode": "ENABLED"})
            except Exception as error:
                if not may_mean_the_way(error):
                    raise
            headers = self._head(target)
            self.crc_wanted = False
            return headers
        return self._head(target)

    def _head(self, parameters: dict[str, str]) -> Mapping[str, str]:
        try:
            return self._asked_head(parameters)
        except Exception as error:
            if error_code(error) in ("400", "403"):
                self._raise_ended(parameters, error)
            raise

    def _raise_ended(self, parameters: dict[str, str], refused: Exception) -> None:
        """A refused HEAD has no words, and credentials that have ended must not count as ones that may not read."""
        target = {name: value for name, value in parameters.items() if name != "ChecksumMode"}
        try:
            self.get(target, 0, 1, None).end()
        except Exception as error:
            if isinstance(translated(error, "", refused), CredentialsEnded):
                raise

    def _asked_head(self, parameters: dict[str, str]) -> Mapping[str, str]:
        def plain() -> Mapping[str, str]:
            return _headers(self._control.call("head_object", **parameters))

        return self._either(lambda direct: direct.head(**parameters), plain)

    def _send(
        self, operation: str, data: memoryview, cancellation: Cancellation, parameters: dict[str, Any]
    ) -> Mapping[str, str]:
        def plain() -> Mapping[str, str]:
            future = self._control.start(operation, **parameters, Body=bytes(data))
            with cancellation.calling(future.cancel):
                return _headers(self._control.outcome(future, len(data)))

        return self._either(lambda direct: direct.send(operation, data, cancellation, **parameters), plain)

    def get(self, target: dict[str, str], start: int, end: int, version: str | None) -> Reading:
        """Ask for bytes `start` to before `end`."""
        return self._either(
            lambda direct: DirectReading(direct.get(target, start, end, version)),
            lambda: PlainReading(self._control, target, start, end, version),
        )

    def _either(self, by_direct: Callable[[Direct], _T], plain: Callable[[], _T]) -> _T:
        """By a presigned request; when such a one has never worked and is refused, by s3fs, and so from then on."""
        direct = self._direct
        if direct is not None:
            try:
                result = by_direct(direct)
            except CannotPresignError:
                return plain()
            except Exception as error:
                if self._direct_works or not may_mean_the_way(error):
                    raise
            else:
                self._direct_works = True
                return result
        result = plain()
        if direct is not None:
            self._direct = None
            direct.close()
        return result

    def close(self) -> None:
        """Let go of connections."""
        direct = self._direct
        if direct is not None:
            direct.close()


def is_md5(answer: Mapping[str, str], digest: bytes) -> bool:
    """Whether the answer's ETag is this MD5: the store then holds these bytes and no framing around them."""
    if answer.get("x-amz-server-side-encryption-customer-algorithm") or answer.get(
        "x-amz-server-side-encryption", ""
    ).startswith("aws:kms"):
        return True  # the ETag says nothing then, and stores that encrypt so know how to take an object
    return opaque(answer.get("etag")) == digest.hex()


def _headers(answer: dict[str, Any]) -> Mapping[str, str]:
    headers: Mapping[str, str] = answer["ResponseMetadata"].get("HTTPHeaders", {})
    return headers


def may_mean_the_way(error: BaseException) -> bool:
    """Whether a request was refused for how it was made, and not for what it was about."""
    return http_status(error) in _WAY_REFUSED and error_code(error) not in _NOT_THE_WAY


def _in_base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
