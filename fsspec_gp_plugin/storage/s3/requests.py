"""Requests that carry bytes of objects or describe one object, protected by CRC-32C if the store checks it, else by
MD5, which every store checks.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from ...checksum import crc32c, in_base64
from ...errors import CredentialsEnded, Unreachable
from ..error_translation import error_code, translated
from ..http.answer import if_match
from .answers import is_form_refused, is_md5
from .listed_page import LARGEST_PAGE, parse_page
from .senders import Request, S3fsAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..http.answer import Answer
    from .control_plane import Control
    from .senders import Sender

# Bytes of a page of a listing, for its time limit.
_EXPECTED_PAGE = 1 << 20
_PIECE = 256 << 10


class Checksums:
    """Which checksum protects the bytes. A store that refuses CRC-32C before it took one gets MD5 from then on."""

    def __init__(self, choice: bool | None) -> None:
        """`choice`: send CRC-32C (True), don't (False), or find out (None)."""
        self.crc_required = self.crc_works = choice is True
        self.crc_wanted = choice is not False

    def may_refuse_crc(self, error: Exception) -> bool:
        """Whether a request may have failed because of its CRC-32C."""
        return not self.crc_works and is_form_refused(error)

    @staticmethod
    def protection(data: memoryview, crc: int | None) -> dict[str, str]:
        """The parameter by which the store checks the bytes: their CRC-32C if it is given, else their MD5."""
        if crc is not None:
            return {"ChecksumCRC32C": in_base64(crc)}
        return {"ContentMD5": base64.b64encode(_md5(data)).decode()}

    @staticmethod
    def is_proven(headers: Mapping[str, str], data: memoryview, protection: Mapping[str, str]) -> bool:
        """Whether the answer to a put with that protection proves that the store holds these bytes."""
        if headers.get("x-amz-checksum-crc32c", "") == protection.get("ChecksumCRC32C"):
            return True
        md5 = protection.get("ContentMD5")
        return is_md5(headers, base64.b64decode(md5) if md5 else _md5(data))


class Requests:
    """Requests on the objects of one bucket."""

    def __init__(self, control: Control, sender: Sender, checksums: Checksums) -> None:
        """`sender` sends the requests that carry bytes, and HEAD; `control` sends the others."""
        self._control = control
        self.sender = sender
        self.checksums = checksums

    def put(self, data: memoryview, parameters: Mapping[str, Any]) -> tuple[Mapping[str, str], bool]:
        """Store a whole object; returns the answer's headers, and whether they prove what the store holds."""
        checksums = self.checksums
        if checksums.crc_wanted:
            protection = checksums.protection(data, crc32c(data))
            try:
                headers = self.sender.send(Request("put_object", {**parameters, **protection}, data)).headers
            except Exception as error:
                if not checksums.may_refuse_crc(error):
                    raise
            else:
                checksums.crc_works = True
                return headers, checksums.is_proven(headers, data, protection)
        protection = checksums.protection(data, None)
        headers = self.sender.send(Request("put_object", {**parameters, **protection}, data)).headers
        checksums.crc_wanted = False
        return headers, checksums.is_proven(headers, data, protection)

    def create_upload(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Create a multipart upload; `ChecksumAlgorithm` of the answer says whether the store checks CRC-32C."""
        checksums = self.checksums
        answer: dict[str, Any]
        if checksums.crc_wanted:
            crc = {"ChecksumAlgorithm": "CRC32C", "ChecksumType": "FULL_OBJECT"}
            try:
                answer = self._control.call("create_multipart_upload", **parameters, **crc)
            except Exception as error:
                if not checksums.may_refuse_crc(error):
                    raise
            else:
                checksums.crc_works |= answer.get("ChecksumAlgorithm") == "CRC32C"
                return answer
        answer = self._control.call("create_multipart_upload", **parameters)
        checksums.crc_wanted = False
        return answer

    def head(self, target: Mapping[str, str]) -> Mapping[str, str]:
        """The headers of an object, with its checksum if the store keeps one and takes that question."""
        if self.checksums.crc_wanted:
            try:
                return self._head({**target, "ChecksumMode": "ENABLED"})
            except Exception as error:
                if not is_form_refused(error):
                    raise
        headers = self._head(target)
        self.checksums.crc_wanted = False
        return headers

    def _head(self, parameters: Mapping[str, str]) -> Mapping[str, str]:
        try:
            return self.sender.send(Request("head_object", parameters)).headers
        except Exception as error:
            if error_code(error) in ("400", "403"):
                self._raise_expired(parameters, error)
            raise

    def _raise_expired(self, parameters: Mapping[str, str], refused: Exception) -> None:
        """A refused HEAD has no text, and expired credentials must not count as credentials that may not read."""
        target = {name: value for name, value in parameters.items() if name != "ChecksumMode"}
        try:
            self.get(target, 0, 1, None).end()
        except Exception as error:
            if isinstance(translated(error, "", refused), CredentialsEnded):
                raise

    def list_objects(self, operation: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """A page of a listing, by the names that botocore gives to its parts. `operation`: the version of the request,
        by its botocore method name.
        """
        answer = self.sender.send(Request(operation, parameters, expected=_EXPECTED_PAGE))
        if isinstance(answer, S3fsAnswer):
            return answer.parsed
        try:
            return parse_page(_read_page(answer))
        finally:
            answer.end()

    def list_restored(self, operation: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """A page of a listing that also says which objects have been restored from an archive for a time."""
        page: Mapping[str, Any]
        page = self._control.call(operation, **parameters, OptionalObjectAttributes=["RestoreStatus"])
        return page

    def get(self, target: Mapping[str, str], start: int, end: int, version: str | None) -> Answer | S3fsAnswer:
        """The answer with bytes `start` to before `end` of that version; the caller ends it."""
        condition = {"IfMatch": version} if if_match(version) else {}
        ranged = {**target, "Range": f"bytes={start}-{end - 1}", **condition}
        return self.sender.send(Request("get_object", ranged, expected=end - start))


def _read_page(answer: Answer) -> bytes:
    """The body of an answer that may not tell its length. Raises Unreachable if it is longer than any page."""
    body = bytearray()
    with memoryview(bytearray(_PIECE)) as piece:
        while count := answer.read_into(piece):
            body += piece[:count]
            if len(body) > LARGEST_PAGE:
                raise Unreachable(f"the answer is no listing (it has more than {LARGEST_PAGE} bytes)")
    return bytes(body)


def _md5(data: memoryview) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
