"""Google's uploads in parts, by its XML API as Google documents it, before a fake-gcs-server, which has none.

Parts are kept here until their upload is completed; then the fake makes the object. Sessions are as in gcs_sessions,
and all else the fake answers.

    .venv/bin/python -m tests.servers.gcs_parts --target HOST:PORT    prints its port, for other programs
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from fsspec_gp_plugin.checksum import crc32c, in_base64
from tests.servers import gcs_sessions
from tests.servers.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEAST = 5 << 20
_MOST_PARTS = 10_000
_OTHERS = ("storage", "upload", "download", "batch", "_internal")
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass
class Part:
    """A part that has arrived, and when."""

    data: bytearray
    etag: str
    arrived: float = field(default_factory=time.time)


@dataclass
class Upload:
    """An upload that nobody has completed or aborted."""

    bucket: str
    key: str
    begun: float = field(default_factory=time.time)
    parts: dict[int, Part] = field(default_factory=dict)


class Front(gcs_sessions.Front):
    """`denied`: the permissions that credentials lack, of "create", "abort", "list" and "listParts"; `page`: how many
    entries a listing has at the most. `forgets`: what is whole is described as it would be, and its bytes are dropped,
    as the fake would take longer for them than Google.
    """

    def __init__(self, target: str, port: int = 0) -> None:
        super().__init__(target, port, _Handler)
        self.uploads: dict[str, Upload] = {}
        self.denied: set[str] = set()
        self.page = 1000
        self.created = 0
        self.forgets = False
        self.described: dict[str, bytes] = {}


class _Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class _Handler(gcs_sessions.Handler):
    server: Front

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        bucket, _, key = parts.path[1:].partition("/")
        asked = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if self.command == "GET" and (told := self.server.described.get(unquote(parts.path.rpartition("/")[2]))):
            self._answer(200, told)
            return
        if bucket in _OTHERS or not {"uploads", "uploadId"} & asked.keys():
            super()._serve()
            return
        body, is_whole = self._body()
        if not is_whole:
            self.close_connection = True
            return
        try:
            self._do(unquote(bucket), unquote(key), asked, body)
        except _Refused as refused:
            self._xml(refused.status, "Error", f"<Code>{refused.code}</Code><Message>no: {refused.code}</Message>")

    def _do(self, bucket: str, key: str, asked: dict[str, str], body: bytearray) -> None:
        if "uploadId" not in asked:
            if self._ask("GET", f"/storage/v1/b/{bucket}", b"", {})[0] != 200:
                raise _Refused(404, "NoSuchBucket")
            self._begin(bucket, key) if self.command == "POST" else self._list(bucket, asked)
            return
        upload_id = asked["uploadId"]
        upload = self.server.uploads.get(upload_id)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise _Refused(404, "NoSuchUpload")
        if self.command == "PUT":
            self._require("create")
            self._keep(upload_id, upload, int(asked["partNumber"]), body)
        elif self.command == "POST":
            self._require("create")
            self._complete(upload_id, upload, body)
        elif self.command == "DELETE":
            self._require("abort")
            with self.server.lock:
                self.server.uploads.pop(upload_id, None)
            self._answer(204, b"")
        else:
            self._require("listParts")
            self._list_parts(upload, asked)

    def _require(self, permission: str) -> None:
        if permission in self.server.denied:
            raise _Refused(403, "AccessDenied")

    def _begin(self, bucket: str, key: str) -> None:
        self._require("create")
        with self.server.lock:
            self.server.created += 1
            upload_id = f"id+of/{self.server.created}="
            self.server.uploads[upload_id] = Upload(bucket, key)
        told = f"<Bucket>{bucket}</Bucket><Key>{escape(key)}</Key><UploadId>{upload_id}</UploadId>"
        self._xml(200, "InitiateMultipartUploadResult", told)

    def _keep(self, upload_id: str, upload: Upload, number: int, body: bytearray) -> None:
        if not 1 <= number <= _MOST_PARTS:
            raise _Refused(400, "InvalidArgument")
        crc = crc32c(memoryview(body))
        said = self.headers.get("x-goog-hash")
        if said is not None and said != f"crc32c={in_base64(crc)}":
            raise _Refused(400, "BadDigest")
        etag = f'"{crc:08x}{len(body):x}"'
        with self.server.lock:
            if upload_id not in self.server.uploads:
                raise _Refused(404, "NoSuchUpload")
            upload.parts[number] = Part(body, etag)
        self._answer(200, b"", ETag=etag)

    def _complete(self, upload_id: str, upload: Upload, body: bytearray) -> None:
        try:
            named = [
                (int(part.findtext("PartNumber") or 0), part.findtext("ETag"))
                for part in ElementTree.fromstring(bytes(body)).iterfind("Part")  # noqa: S314 - our own
            ]
        except ElementTree.ParseError:
            named = []
        if not named:
            raise _Refused(400, "MalformedXML")
        if named != sorted(named):
            raise _Refused(400, "InvalidPartOrder")
        with self.server.lock:
            if self.server.uploads.get(upload_id) is not upload:
                raise _Refused(404, "NoSuchUpload")
            chosen = [upload.parts.get(number) for number, _ in named]
            if [part and part.etag for part in chosen] != [etag for _, etag in named]:
                raise _Refused(400, "InvalidPart")
            data = [part.data for part in chosen if part is not None]
            if any(len(one) < _LEAST for one in data[:-1]):
                raise _Refused(400, "EntityTooSmall")
            self._make(upload.bucket, upload.key, data)
            del self.server.uploads[upload_id]
        self._xml(200, "CompleteMultipartUploadResult", f"<Key>{escape(upload.key)}</Key><ETag>&quot;x&quot;</ETag>")

    def _make(self, bucket: str, name: str, pieces: list[bytearray]) -> bytes:
        if not self.server.forgets:
            return super()._make(bucket, name, pieces)
        crc = reduce(lambda before, piece: crc32c(memoryview(piece), before), pieces, 0)
        size = sum(map(len, pieces))
        told = {"name": name, "size": str(size), "generation": "1", "crc32c": in_base64(crc)}
        self.server.described[name] = answer = json.dumps(told).encode()
        return answer

    def _list(self, bucket: str, asked: dict[str, str]) -> None:
        self._require("list")
        after = (asked.get("key-marker", ""), asked.get("upload-id-marker", ""))
        found = sorted(
            (upload.key, upload_id, upload.begun)
            for upload_id, upload in list(self.server.uploads.items())
            if upload.bucket == bucket and upload.key.startswith(asked.get("prefix", ""))
        )
        left = [one for one in found if one[:2] > after]
        page = left[: self.server.page]
        told = "".join(
            f"<Upload><Key>{escape(key)}</Key><UploadId>{upload_id}</UploadId><Initiated>{_time(begun)}</Initiated></Upload>"
            for key, upload_id, begun in page
        )
        if len(left) > len(page):
            told += f"<NextKeyMarker>{escape(page[-1][0])}</NextKeyMarker>"
            told += f"<NextUploadIdMarker>{page[-1][1]}</NextUploadIdMarker>"
        told += f"<IsTruncated>{str(len(left) > len(page)).lower()}</IsTruncated>"
        self._xml(200, "ListMultipartUploadsResult", told)

    def _list_parts(self, upload: Upload, asked: dict[str, str]) -> None:
        left = sorted(item for item in upload.parts.items() if item[0] > int(asked.get("part-number-marker", "0")))
        page = left[: self.server.page]
        told = "".join(
            f"<Part><PartNumber>{number}</PartNumber><LastModified>{_time(part.arrived)}</LastModified></Part>"
            for number, part in page
        )
        if len(left) > len(page):
            told += f"<NextPartNumberMarker>{page[-1][0]}</NextPartNumberMarker>"
        told += f"<IsTruncated>{str(len(left) > len(page)).lower()}</IsTruncated>"
        self._xml(200, "ListPartsResult", told)

    def _xml(self, status: int, root: str, told: str) -> None:
        space = "" if root == "Error" else f' xmlns="{_NAMESPACE}"'
        document = f"<?xml version='1.0' encoding='UTF-8'?><{root}{space}>{told}</{root}>"
        self._answer(status, document.encode(), {"Content-Type": "application/xml"})


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}Z"


@contextmanager
def running(target: str) -> Iterator[Front]:
    """The front of a server at `target`, until the block ends."""
    with serving(Front(target)) as front:
        yield front


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers.gcs_parts")
    parser.add_argument("--target", required=True, help="HOST:PORT of the fake-gcs-server")
    parser.add_argument("--deny", default="", help="permissions that are missing, separated by commas")
    parser.add_argument("--forget", action="store_true", help="drop the bytes of objects that are whole")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Front(f"http://{arguments.target}") as front:
        front.forgets = arguments.forget
        front.denied = set(filter(None, arguments.deny.split(",")))
        print(front.server_address[1], flush=True)  # noqa: T201 - for whoever started it
        front.serve_forever()


if __name__ == "__main__":
    main()
