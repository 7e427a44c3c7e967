"""What an S3 answers to the requests that this plugin makes, as far as the plugin looks at it."""

from __future__ import annotations

import re
import secrets
import time
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import md5
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape, unescape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.scale.bucket import Bucket, Listed

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_MOST = 1000
_CRC = "x-amz-checksum-crc32c"


class Asked(NamedTuple):
    """A request. The names of headers are in lower case."""

    method: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """Status, body and headers."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


@dataclass
class _Upload:
    key: str
    with_checksum: bool
    parts: dict[int, bytes] = field(default_factory=dict)


def refusal(status: int, code: str) -> Answer:
    """An error as S3 tells it."""
    return _xml("Error", f"<Code>{code}</Code><Message>{code}</Message>", status)


def _xml(name: str, inside: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    text = f"{_XML}<{name}>{inside}</{name}>"
    return Answer(status, text.encode(), {"Content-Type": "application/xml", **(headers or {})})


class S3:
    """The requests on one bucket, by kind."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._uploads: dict[str, _Upload] = {}

    @staticmethod
    def kind(asked: Asked) -> str:
        """The request's name in Amazon's documentation."""
        query = asked.query
        if not asked.key:
            if asked.method == "POST" and "delete" in query:
                return "DeleteObjects"
            named = {"uploads": "ListMultipartUploads", "versions": "ListObjectVersions", "list-type": "ListObjectsV2"}
            found = next((name for part, name in named.items() if part in query), "ListObjects")
            return found if asked.method == "GET" else "HeadBucket" if asked.method == "HEAD" else "CreateBucket"
        if "uploads" in query:
            return "CreateMultipartUpload"
        if "uploadId" in query:
            return {
                "PUT": "UploadPart",
                "POST": "CompleteMultipartUpload",
                "DELETE": "AbortMultipartUpload",
                "GET": "ListParts",
            }.get(asked.method, "")
        return {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}.get(
            asked.method, ""
        )

    def answer(self, kind: str, asked: Asked) -> Answer:
        """The answer to a request of that kind."""
        does = {
            "ListObjectsV2": self._list,
            "HeadObject": self._head,
            "GetObject": self._get,
            "PutObject": self._put,
            "DeleteObject": self._delete,
            "DeleteObjects": self._delete_several,
            "CreateMultipartUpload": self._create_upload,
            "UploadPart": self._upload_part,
            "CompleteMultipartUpload": self._complete,
            "AbortMultipartUpload": self._abort,
        }
        if kind in does:
            return does[kind](asked)
        if kind == "ListMultipartUploads":
            return _xml("ListMultipartUploadsResult", "<IsTruncated>false</IsTruncated>")
        if kind == "ListObjectVersions":
            return _xml("ListVersionsResult", "<IsTruncated>false</IsTruncated>")
        return Answer(200) if kind == "HeadBucket" else refusal(501, "NotImplemented")

    def _list(self, asked: Asked) -> Answer:
        query = asked.query
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        token = query.get("continuation-token", "")
        begin = b64decode(token).decode() if token else query.get("start-after", "")
        most = min(int(query.get("max-keys", _MOST)), _MOST)
        found, position = self._bucket.page(prefix, begin, delimiter, most)
        lines = [_listed(one) for one in found]
        going_on = f"<NextContinuationToken>{b64encode(position.encode()).decode()}</NextContinuationToken>"
        return _xml(
            "ListBucketResult",
            f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{len(found)}</KeyCount><MaxKeys>{most}</MaxKeys>"
            f"<IsTruncated>{'true' if position else 'false'}</IsTruncated>{going_on if position else ''}"
            + "".join(lines),
        )

    def _head(self, asked: Asked) -> Answer:
        found = self._bucket.head(asked.key)
        if found is None:
            return Answer(404)
        listed, checksum = found
        wants = asked.headers.get("x-amz-checksum-mode") or asked.query.get("x-amz-checksum-mode")
        return Answer(200, b"", {**_describe(listed), **({_CRC: checksum} if checksum and wants else {})})

    def _get(self, asked: Asked) -> Answer:
        found = self._bucket.head(asked.key)
        if found is None:
            return refusal(404, "NoSuchKey")
        listed, _ = found
        if asked.headers.get("if-match", listed.etag) != listed.etag:
            return refusal(412, "PreconditionFailed")
        match = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", asked.headers.get("range", ""))
        if match is None:
            return Answer(200, self._bucket.read(asked.key, 0, listed.size), _describe(listed))
        start, end = int(match[1]), min(int(match[2] or listed.size) + 1, listed.size)
        if start >= listed.size:
            return refusal(416, "InvalidRange")
        told = {"Content-Range": f"bytes {start}-{end - 1}/{listed.size}"}
        return Answer(206, self._bucket.read(asked.key, start, end), {**_describe(listed), **told})

    def _put(self, asked: Asked) -> Answer:
        if asked.headers.get("if-none-match") == "*" and self._bucket.head(asked.key):
            return refusal(412, "PreconditionFailed")
        checksum = asked.headers.get(_CRC, "")
        etag = self._bucket.put(asked.key, asked.body, checksum)
        return Answer(200, b"", {"ETag": etag, **({_CRC: checksum} if checksum else {})})

    def _delete(self, asked: Asked) -> Answer:
        self._bucket.delete(asked.key)
        return Answer(204)

    def _delete_several(self, asked: Asked) -> Answer:
        keys = [unescape(key) for key in re.findall(r"<Key>([^<]*)</Key>", asked.body.decode())]
        for key in keys:
            self._bucket.delete(key)
        if "<Quiet>true" in asked.body.decode():
            return _xml("DeleteResult", "")
        return _xml("DeleteResult", "".join([f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys]))

    def _create_upload(self, asked: Asked) -> Answer:
        upload_id = secrets.token_hex(16)
        with_checksum = asked.headers.get("x-amz-checksum-algorithm") == "CRC32C"
        self._uploads[upload_id] = _Upload(asked.key, with_checksum)
        told = {"x-amz-checksum-algorithm": "CRC32C", "x-amz-checksum-type": "FULL_OBJECT"} if with_checksum else {}
        inside = f"<Key>{escape(asked.key)}</Key><UploadId>{upload_id}</UploadId>"
        return _xml("InitiateMultipartUploadResult", inside, 200, told)

    def _upload_part(self, asked: Asked) -> Answer:
        upload = self._uploads.get(asked.query["uploadId"])
        if upload is None:
            return refusal(404, "NoSuchUpload")
        upload.parts[int(asked.query["partNumber"])] = asked.body
        checksum = asked.headers.get(_CRC, "")
        etag = f'"{md5(asked.body, usedforsecurity=False).hexdigest()}"'
        return Answer(200, b"", {"ETag": etag, **({_CRC: checksum} if checksum else {})})

    def _complete(self, asked: Asked) -> Answer:
        upload = self._uploads.pop(asked.query["uploadId"], None)
        if upload is None:
            return refusal(404, "NoSuchUpload")
        checksum = asked.headers.get(_CRC, "")
        data = b"".join(upload.parts[number] for number in sorted(upload.parts))
        etag = self._bucket.put(upload.key, data, checksum)
        told = f"<ChecksumCRC32C>{checksum}</ChecksumCRC32C>" if checksum else ""
        return _xml(
            "CompleteMultipartUploadResult", f"<Key>{escape(upload.key)}</Key><ETag>{escape(etag)}</ETag>{told}"
        )

    def _abort(self, asked: Asked) -> Answer:
        return Answer(204) if self._uploads.pop(asked.query["uploadId"], None) else refusal(404, "NoSuchUpload")


def _describe(listed: Listed) -> dict[str, str]:
    return {
        "ETag": listed.etag,
        "Last-Modified": formatdate(listed.modified, usegmt=True),
        "Accept-Ranges": "bytes",
        "Content-Length": str(listed.size),
    }


def _listed(one: Listed | str) -> str:
    if isinstance(one, str):
        return f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>"
    written = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(one.modified))
    return (
        f"<Contents><Key>{escape(one.key)}</Key><LastModified>{written}</LastModified><ETag>{escape(one.etag)}</ETag>"
        f"<Size>{one.size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )
