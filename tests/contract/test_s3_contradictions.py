"""S3 stores that contradict the CRC-32C that they took, as moto, S3Mock and s3s-fs do; and what they say of a second
abort.
"""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.checksum import crc32c, in_base64
from fsspec_gp_plugin.errors import StorageError, Unreachable
from tests.contract.test_s3_completion import DATA, PARTS, PATH, Uploads, _Multipart, written
from tests.contract.test_s3_gateways import KEY, store_at
from tests.servers.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

WRONG = in_base64(crc32c(b"something else"))
_REFUSED = b"<Error><Code>BadRequest</Code><Message>Value for x-amz-checksum-crc32c is invalid.</Message></Error>"
_DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class Store(Uploads):
    """`loses`: it tells another checksum of an object than that it was to keep; `refuses_whole`: it takes no checksum
    of a whole object; `may_abort`; `breaks_abort`: an abort is done and not answered, once; `denies_second`: it answers
    so to the abort of an upload that is gone.
    """

    def reset(self) -> None:
        super().reset()
        self.loses = self.refuses_whole = self.denies_second = False
        self.may_abort = True
        self.breaks_abort = False
        self.begun: list[bool] = []  # whether each upload was to have checksums
        self.RequestHandlerClass = _Contradicting


class _Contradicting(_Multipart, BaseHTTPRequestHandler):
    server: Store

    def do_POST(self) -> None:
        if "uploads" in self.query:
            self.server.begun.append("x-amz-checksum-algorithm" in self.headers)
        elif self.server.refuses_whole and "x-amz-checksum-crc32c" in self.headers:
            self.rfile.read(int(self.headers["Content-Length"]))
            return self.answer(400, _REFUSED)
        return super().do_POST()

    def do_HEAD(self) -> None:
        if not self.server.loses or self.key not in self.server.objects:
            return super().do_HEAD()
        headers = {"x-amz-checksum-crc32c": WRONG} if self.server.begun[-1] else {}
        return self.answer(200, self.server.objects[self.key], ETag=self.server.etags[self.key], **headers)

    def do_DELETE(self) -> None:
        if "uploadId" in self.query:
            if self.server.breaks_abort:
                self.server.breaks_abort = False
                self.server.uploads.clear()
                self.connection.shutdown(socket.SHUT_RDWR)
                return None
            gone = "1" not in self.server.uploads
            if not self.server.may_abort or (gone and self.server.denies_second):
                return self.answer(403, _DENIED)
        return super().do_DELETE()


@pytest.fixture
def server() -> Iterator[Store]:
    with serving(Store()) as made:
        yield made


@pytest.fixture
def store(server: Store) -> Iterator[Any]:
    opened = store_at(server)
    yield opened
    opened.close()


def test_a_store_that_does_not_look_at_checksums_gets_md5_from_the_first_part_on(store: Any, server: Store) -> None:
    server.echoes, server.loses = False, True
    assert written(store).complete(len(DATA)).size == len(DATA)
    assert server.objects[PATH] == DATA
    assert all(server.md5s.values())
    assert server.begun == [True, False]
    assert server.uploads == {}
    assert written(store).complete(len(DATA)).size == len(DATA)
    assert server.begun == [True, False, False]


def test_the_way_changes_though_the_first_upload_s_abort_is_not_answered(store: Any, server: Store) -> None:
    server.echoes, server.breaks_abort = False, True
    assert written(store).complete(len(DATA)).size == len(DATA)
    assert server.begun == [True, False]
    assert server.uploads == {}


def test_parts_at_once_change_the_way_together(store: Any, server: Store) -> None:
    server.echoes, server.loses = False, True
    parts = [bytes([number]) * 50_000 for number in range(8)]
    writer = store.begin(KEY)
    with ThreadPoolExecutor(len(parts)) as pool:
        sending = [pool.submit(writer.write, number, memoryview(part)) for number, part in enumerate(parts, 1)]
    for sent in sending:
        sent.result()
    writer.complete(sum(map(len, parts)))
    assert server.objects[PATH] == b"".join(parts)
    assert server.begun == [True, False]


def test_where_nothing_may_be_aborted_the_upload_goes_on_as_it_began(store: Any, server: Store) -> None:
    server.echoes, server.may_abort = False, False
    assert written(store).complete(len(DATA)).size == len(DATA)
    assert server.begun == [True]


def test_a_store_that_takes_no_checksum_of_the_whole_is_asked_without(store: Any, server: Store) -> None:
    server.refuses_whole = True
    assert written(store).complete(len(DATA)).size == len(DATA)
    assert server.objects[PATH] == DATA


@pytest.mark.parametrize("fault", ["loses", "refuses_whole"])
def test_who_wants_checksums_gets_no_fallback(server: Store, fault: str) -> None:
    setattr(server, fault, True)
    server.echoes = False
    store = store_at(server, config_kwargs={"request_checksum_calculation": "when_supported"})
    with pytest.raises(StorageError):
        written(store).complete(len(DATA))
    store.close()


def test_an_object_whose_checksum_is_another_says_what_helps_where_that_is_always_so(store: Any, server: Store) -> None:
    server.loses = True
    cure = r"config_kwargs: \{request_checksum_calculation: when_required\}` in storage_options"
    with pytest.raises(StorageError, match=f"another checksum; removed.*{cure}"):
        written(store).complete(len(DATA))
    assert server.objects == {}
    store.close()


@pytest.mark.parametrize("returning", [0, 1])
def test_what_is_said_of_an_upload_that_was_aborted_is_no_error(store: Any, server: Store, returning: int) -> None:
    """s3s-fs denies the second abort. A part that may still arrive makes more than one."""
    server.denies_second, server.returning = True, returning
    writer = written(store)
    server.is_cut_off = True
    with pytest.raises(Unreachable):
        writer.write(len(PARTS) + 1, memoryview(PARTS[0]))
    writer.abort()
    assert server.uploads == {}


def test_an_upload_that_may_not_be_aborted_is_told(store: Any, server: Store) -> None:
    writer = written(store)
    server.may_abort = False
    with pytest.raises(StorageError, match="access denied"):
        writer.abort()
