"""The requests on objects of one bucket that the store and its writers share."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ...checksum import crc32c, in_base64
from ...errors import AccessDenied, NotFound, ObjectChanged, StorageError
from ..errors import translating
from .answers import described, no_object_missing
from .xml import Xml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..contract import ObjectInfo
    from .requests import Requests

FIELDS = "name,size,generation,crc32c,timeCreated"


class Bucket:
    """A bucket, of which only the objects below a prefix count. `takes_parts`: whether it takes uploads in parts; None
    until the first one shows it.
    """

    def __init__(self, bucket: str, prefix: str, requests: Requests) -> None:
        self.bucket = bucket
        self.requests = requests
        self.xml = Xml(lambda: self.requests, bucket)
        self.prefix = f"{prefix}/" if prefix else ""
        self.takes_parts: bool | None = None

    @property
    def place(self) -> str:
        """Return the URL of the bucket, for messages."""
        return f"gs://{self.bucket}/"

    def path(self, key: str) -> str:
        """Return the object's name in the bucket."""
        return self.prefix + key

    def name(self, key: str) -> str:
        """Return the object's URL, for messages."""
        return f"gs://{self.bucket}/{self.prefix}{key}"

    def put(self, key: str, data: memoryview) -> ObjectInfo:
        """Store a whole object, as Store.put()."""
        return self.put_if(key, data)

    def put_if(self, key: str, data: memoryview, **condition: str) -> ObjectInfo:
        """Store a whole object if the condition, a query parameter such as ifGenerationMatch, holds."""
        crc = crc32c(data)
        about = {"name": self.path(key), "contentType": "application/octet-stream", "crc32c": in_base64(crc)}
        # In one body with their checksum, so that the store refuses other bytes.
        boundary = secrets.token_hex(16)
        kind = f"Content-Type: {about['contentType']}\r\n\r\n"
        head = f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{json.dumps(about)}\r\n--{boundary}\r\n{kind}"
        body = b"".join((head.encode(), data, f"\r\n--{boundary}--\r\n".encode()))
        with no_object_missing(f"can't write {self.name(key)}"):
            url = self.requests.upload_url(self.bucket, uploadType="multipart", **condition)
            headers = {"Content-Type": f"multipart/related; boundary={boundary}"}
            _, _, resource = self.requests.send("POST", url, headers, memoryview(body))
            return self.require_same(described(key, resource), len(data), crc)

    def stat(self, key: str) -> ObjectInfo:
        """Return size, version and checksum of an object, as Store.stat()."""
        with self.finding(key):
            url = self.requests.object_url(self.bucket, self.path(key), fields=FIELDS)
            _, _, resource = self.requests.send("GET", url)
            return described(key, resource)

    def delete_version(self, info: ObjectInfo) -> None:
        """Delete an object unless it has been replaced."""
        url = self.requests.object_url(self.bucket, self.path(info.key), ifGenerationMatch=str(info.version))
        with suppress(NotFound, ObjectChanged), translating(f"can't delete {self.name(info.key)}"):
            self.requests.send("DELETE", url)

    def require_same(self, found: ObjectInfo, size: int, crc: int) -> ObjectInfo:
        """Compare the stored object with what was sent, by size and checksum; delete it if it differs."""
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
    def finding(self, key: str) -> Iterator[None]:
        """Translate errors of a request that looks for an object; a missing bucket is no NotFound."""
        try:
            with translating(f"can't find {self.name(key)}"):
                yield
        except NotFound:
            self.require_bucket()
            raise

    def require_bucket(self) -> None:
        """Raise StorageError if the bucket is missing: the service answers 404 for it as for a missing object."""
        with suppress(AccessDenied), no_object_missing(f"can't find {self.name('')}"):
            self.requests.list(self.bucket, maxResults="1", fields="nextPageToken")

    def find_completed(self, key: str, size: int, crc: int | None) -> ObjectInfo | None:
        """Return the object if it has the size in bytes and the CRC-32C of what was sent: an upload whose last response
        got lost may have been completed.
        """
        with suppress(NotFound):
            found = self.stat(key)
            if (found.size, found.crc32c) == (size, crc):
                return found
        return None

    def remove_completed(self, key: str, size: int, crc: int | None) -> None:
        """Delete such an object if it is there. Raises StorageError where that is unknown."""
        try:
            found = self.find_completed(key, size, crc)
            if found is not None:
                self.delete_version(found)
        except AccessDenied as error:
            raise StorageError("it was being completed, so the whole object may be visible") from error
