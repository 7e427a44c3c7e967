"""How an upload to S3 ends where answers are lost, late or another's: never with an object that only looks like it."""

from __future__ import annotations

import hashlib
import os
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from fsspec_gp_plugin.checksum import crc32c, in_base64
from fsspec_gp_plugin.errors import StorageError, Unreachable
from tests.contract.test_s3_gateways import KEY, Gateway, _Handler, store_at

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = f"/bucket/{KEY}"
PARTS = [os.urandom(100_000), os.urandom(50_000)]
DATA = b"".join(PARTS)
OTHER = os.urandom(len(DATA))


class Uploads(Gateway):
    """A gateway that takes multipart uploads. How it answers a completion is `completing`:

    "": as it should; "lost": it does it, and says that it knows no such upload, as to the second of two requests;
    "unknown": it says so, and has not done it; else 200 and this text, having done it with `done`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = _Multipart
        self.reset()

    def reset(self) -> None:
        """Empty, and without faults."""
        self.objects.clear()
        self.etags: dict[str, str] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.md5s: dict[int, str | None] = {}
        self.aborts = 0
        self.completing = ""
        self.done = False
        self.checks = self.tells = True  # the CRC-32C of parts, and of objects
        self.echoes = True  # the CRC-32C of a part that it was sent with
        self.encrypts = False  # so that an object's ETag says nothing of its bytes
        self.goes_away = self.is_away = False  # once an object is complete, and from then on
        self.is_cut_off = False  # the connection ends instead of the answer to a part
        self.returning = 0  # how often an upload is there again after an abort, as a part of it arrives

    def handle_error(self, *_: object) -> None:
        """Connections end here on purpose."""


class _Multipart(_Handler, BaseHTTPRequestHandler):
    server: Uploads

    @property
    def query(self) -> dict[str, str]:
        query = urlsplit(self.path).query
        return {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}

    def unknown(self) -> None:
        self.answer(404, b"<Error><Code>NoSuchUpload</Code><Message>there is none</Message></Error>")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        if "uploads" in self.query:
            self.server.uploads["1"] = {}
            headers = {"x-amz-checksum-algorithm": "CRC32C", "x-amz-checksum-type": "FULL_OBJECT"}
            created = b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
            return self.answer(200, created, **(headers if self.server.checks else {}))
        way = self.server.completing
        if way in ("", "lost") or (way != "unknown" and self.server.done):
            self.complete()
        if way in ("lost", "unknown"):
            return self.unknown()
        tag = self.server.etags.get(self.key, "")
        right = f"<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
        return self.answer(200, (way or right).encode())

    def complete(self) -> None:
        parts = [part for _, part in sorted(self.server.uploads.pop("1").items())]
        self.server.objects[self.key] = b"".join(parts)
        self.server.etags[self.key] = '"whatever"' if self.server.encrypts else etag_of(parts)
        self.server.is_away = self.server.goes_away

    def do_PUT(self) -> None:
        if "uploadId" not in self.query:
            return super().do_PUT()
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.is_cut_off:
            self.close_connection = True
            return None
        self.server.uploads["1"][int(self.query["partNumber"])] = data
        self.server.md5s[int(self.query["partNumber"])] = self.headers["Content-MD5"]
        crc = self.headers["x-amz-checksum-crc32c"]
        headers = {"x-amz-checksum-crc32c": crc} if crc and self.server.echoes else {}
        return self.answer(200, b"", ETag=f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"', **headers)

    def do_HEAD(self) -> None:
        if self.server.is_away:
            self.close_connection = True
            return
        data = self.server.objects.get(self.key)
        if data is None:
            self.answer(404, b"")
            return
        headers = {"x-amz-checksum-crc32c": in_base64(crc32c(data))} if self.server.checks and self.server.tells else {}
        self.answer(200, data, ETag=self.server.etags.get(self.key, '"older"'), **headers)

    def do_DELETE(self) -> None:
        if "uploadId" not in self.query:
            return super().do_DELETE()
        self.server.aborts += 1
        if "1" not in self.server.uploads:
            return self.unknown()
        if self.server.returning:
            self.server.returning -= 1
        else:
            del self.server.uploads["1"]
        return self.answer(204, b"")


def etag_of(parts: list[bytes]) -> str:
    digests = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in parts)
    return f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"'


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Uploads, Any]]:
    """A gateway and a store at it, for all tests: s3fs takes its time to be made."""
    with Uploads() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        store = store_at(server)
        yield server, store
        store.close()
        server.shutdown()
        thread.join()


@pytest.fixture
def gateway(running: tuple[Uploads, Any]) -> Uploads:
    running[0].reset()
    return running[0]


@pytest.fixture
def store(running: tuple[Uploads, Any]) -> Any:
    return running[1]


def written(store: Any) -> Any:
    """A writer that has sent all of its parts."""
    writer = store.begin(KEY)
    for number, part in enumerate(PARTS, 1):
        writer.write(number, memoryview(part))
    return writer


def test_each_part_carries_its_md5_to_a_store_that_checks_no_crc32c(store: Any, gateway: Uploads) -> None:
    gateway.checks = False
    writer = written(store)
    digests = [hashlib.md5(part, usedforsecurity=False).digest() for part in PARTS]
    assert gateway.md5s == {number: b64encode(digest).decode() for number, digest in enumerate(digests, 1)}
    writer.complete(len(DATA))


@pytest.mark.parametrize("proof", ["both", "checksum", "etag", "etag of a store without checksums"])
@pytest.mark.parametrize("completing", ["", "lost", "<html>welcome</html>"])
def test_an_object_that_is_this_upload_counts_whatever_the_answer_was(
    store: Any, gateway: Uploads, completing: str, proof: str
) -> None:
    """By the checksum, or by the ETag that the parts give."""
    gateway.encrypts = proof == "checksum"
    gateway.tells = proof in ("both", "checksum")
    gateway.checks = "without" not in proof
    gateway.completing, gateway.done = completing, True
    writer = written(store)
    assert writer.complete(len(DATA)).size == len(DATA)
    writer.abort()
    assert gateway.objects[PATH] == DATA


@pytest.mark.parametrize(("checks", "tells"), [(True, True), (True, False), (False, False)])
@pytest.mark.parametrize("completing", ["unknown", "<html>welcome</html>"])
@pytest.mark.parametrize("older", [OTHER, DATA + b"more"], ids=["of that size", "of another size"])
def test_an_older_object_is_not_taken_for_this_upload(
    store: Any, gateway: Uploads, older: bytes, completing: str, checks: bool, tells: bool
) -> None:
    gateway.checks, gateway.tells = checks, tells
    gateway.objects[PATH] = older
    gateway.completing = completing
    writer = written(store)
    with pytest.raises(StorageError, match="NoSuchUpload" if completing == "unknown" else "the answer has no ETag"):
        writer.complete(len(DATA))
    assert gateway.objects[PATH] == older


def test_an_object_of_another_size_is_not_this_upload_whatever_its_etag_says(store: Any, gateway: Uploads) -> None:
    gateway.checks, gateway.completing = False, "unknown"
    gateway.objects[PATH], gateway.etags[PATH] = DATA + b"more", etag_of(PARTS)
    with pytest.raises(StorageError, match="NoSuchUpload"):
        written(store).complete(len(DATA))


def test_an_error_in_the_midst_of_a_good_answer_is_no_success(store: Any, gateway: Uploads) -> None:
    """Amazon begins its answer before it has put the parts together."""
    gateway.completing = "<Error><Code>InternalError</Code><Message>try again</Message></Error>"
    gateway.objects[PATH] = OTHER
    writer = written(store)
    with pytest.raises(Unreachable, match="InternalError"):
        writer.complete(len(DATA))
    gateway.completing = ""
    assert writer.complete(len(DATA)).size == len(DATA)


def test_an_object_that_is_complete_and_could_not_be_compared_is_told_as_visible(store: Any, gateway: Uploads) -> None:
    gateway.goes_away = True
    writer = written(store)
    with pytest.raises(Unreachable):
        writer.complete(len(DATA))
    with pytest.raises(StorageError, match="is complete and visible, but could not be compared with what was sent"):
        writer.abort()
    assert gateway.objects[PATH] == DATA
    gateway.is_away = False
    assert writer.complete(len(DATA)).size == len(DATA)
    writer.abort()


def test_an_upload_that_was_being_completed_when_it_vanished_is_told(store: Any, gateway: Uploads) -> None:
    gateway.objects[PATH] = OTHER
    gateway.completing = "unknown"
    writer = written(store)
    with pytest.raises(StorageError, match="NoSuchUpload"):
        writer.complete(len(DATA))
    gateway.uploads.clear()
    with pytest.raises(StorageError, match="it was being completed, so the whole object may be visible"):
        writer.abort()


def test_an_upload_whose_completion_failed_is_aborted_and_nothing_more_is_told(store: Any, gateway: Uploads) -> None:
    gateway.objects[PATH] = OTHER
    gateway.completing = "unknown"
    writer = written(store)
    with pytest.raises(StorageError, match="NoSuchUpload"):
        writer.complete(len(DATA))
    writer.abort()
    assert gateway.uploads == {}
    assert gateway.objects[PATH] == OTHER


@pytest.mark.parametrize("returning", [0, 1, 2])
def test_an_upload_is_aborted_again_when_a_part_arrives_after_the_abort(
    store: Any, gateway: Uploads, returning: int
) -> None:
    """The store keeps, and charges for, the part of an upload that seemed to be gone."""
    gateway.returning = returning
    writer = written(store)
    gateway.is_cut_off = True
    with pytest.raises(Unreachable):
        writer.write(len(PARTS) + 1, memoryview(PARTS[0]))
    writer.abort()
    assert gateway.uploads == {}
    assert gateway.aborts in (returning + 1, returning + 2)


def test_an_upload_of_which_no_part_is_on_its_way_is_aborted_once(store: Any, gateway: Uploads) -> None:
    """Many stores answer each abort alike, so nothing would tell that one was enough."""
    written(store).abort()
    assert gateway.uploads == {}
    assert gateway.aborts == 1
