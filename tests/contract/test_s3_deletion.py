"""Deleting many objects of S3 where the store wants an MD5, refuses to do it in bulk, or has no time for some."""

from __future__ import annotations

import re
import threading
from base64 import b64encode
from hashlib import md5
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin.errors import StorageError, Unreachable
from fsspec_gp_plugin.storage.open import open_store
from tests.contract.test_s3_gateways import Gateway, _Handler, store_at
from tests.servers.ports import closed_port
from tests.servers.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = 2500


class Deleting(Gateway):
    """A gateway that deletes.

    `wants_md5`: requests in bulk without their right Content-MD5 are refused, `refuses_bulk`: all of them are. `says`:
    for a key, the codes that the next requests in bulk answer about it. `busy`: how many requests for one object alone
    are told to slow down, every second of them. `others`: where those for one object alone wait for each other.
    """

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = _Deleting
        self.wants_md5 = self.refuses_bulk = self.is_no_store = False
        self.says: dict[str, list[str]] = {}
        self.busy = 0
        self.asked = 0
        self.others: threading.Barrier | None = None
        self.in_bulk: list[int] = []
        self.lock = threading.Lock()


class _Deleting(_Handler, BaseHTTPRequestHandler):
    server: Deleting

    def do_POST(self) -> None:
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        keys = re.findall("<Key>([^<]*)</Key>", body.decode())
        server.in_bulk.append(len(keys))
        digest = b64encode(md5(body, usedforsecurity=False).digest()).decode()
        if server.wants_md5 and self.headers["Content-MD5"] != digest:
            return self.answer(400, b"<Error><Code>InvalidRequest</Code><Message>MD5 is missing</Message></Error>")
        if server.refuses_bulk:
            return self.answer(501, b"<Error><Code>NotImplemented</Code><Message>one by one</Message></Error>")
        told = ""
        for key in keys:
            if codes := server.says.get(key):
                told += f"<Error><Key>{key}</Key><Code>{codes.pop(0)}</Code><Message>so it is</Message></Error>"
            else:
                server.objects.pop(f"/bucket/{key}", None)
                told += "" if server.is_no_store else f"<Deleted><Key>{key}</Key></Deleted>"
        return self.answer(200, f"<DeleteResult>{told}</DeleteResult>".encode())

    def do_DELETE(self) -> None:
        server = self.server
        if server.others is not None:
            server.others.wait(30)
        with server.lock:
            server.asked += 1
            is_busy = server.busy > 0 and server.asked % 2
            server.busy -= 1 if is_busy else 0
        if is_busy:
            return self.answer(503, b"<Error><Code>SlowDown</Code><Message>later</Message></Error>")
        return super().do_DELETE()


@pytest.fixture
def gateway() -> Iterator[Deleting]:
    with serving(Deleting()) as server:
        server.objects = {f"/bucket/{n}": b"" for n in range(COUNT)}
        yield server


def delete(gateway: Deleting, count: int = COUNT) -> None:
    store = store_at(gateway)
    try:
        store.delete(str(n) for n in range(count))
    finally:
        store.close()


def test_stores_that_want_an_md5_delete_in_bulk(gateway: Deleting) -> None:
    gateway.wants_md5 = True
    delete(gateway)
    assert (gateway.objects, gateway.in_bulk, gateway.asked) == ({}, [1000, 1000, 500], 0)


def test_where_bulk_is_refused_eight_go_at_a_time_and_it_is_not_tried_again(gateway: Deleting) -> None:
    gateway.refuses_bulk = True
    gateway.others = threading.Barrier(8)  # with fewer at once it would break
    count = 2000  # in eight equal shares
    delete(gateway, count)
    assert (len(gateway.objects), gateway.in_bulk) == (COUNT - count, [1000])


def test_where_single_requests_fail_as_well_bulk_is_tried_again(gateway: Deleting) -> None:
    gateway.refuses_bulk = gateway.retains = True
    with pytest.raises(StorageError, match=r"access denied.*and 1099 more"):
        delete(gateway, 1100)
    assert gateway.in_bulk == [1000, 100]


def test_those_that_the_store_had_no_time_for_are_asked_for_again(gateway: Deleting) -> None:
    gateway.says = {"3": ["SlowDown"], "5": ["InternalError", "SlowDown"], "7": ["NoSuchKey"]}
    delete(gateway)
    assert list(gateway.objects) == ["/bucket/7"]  # which is gone by what the store says
    assert gateway.in_bulk == [1000, 2, 1, 1000, 500]


def test_an_answer_that_names_no_object_is_no_proof(gateway: Deleting) -> None:
    gateway.is_no_store = True
    delete(gateway)
    assert gateway.asked == COUNT


def test_others_that_failed_are_told_after_all_were_tried(gateway: Deleting) -> None:
    gateway.says = {"3": ["SlowDown", "AccessDenied"], "2000": ["ObjectLocked"]}
    with pytest.raises(StorageError, match=r"can't delete s3://bucket/3: access denied.*\(and 1 more\)"):
        delete(gateway)
    assert sorted(gateway.objects) == ["/bucket/2000", "/bucket/3"]


def test_a_store_that_has_no_time_for_any_is_out_of_reach(gateway: Deleting) -> None:
    gateway.says = {str(n): ["SlowDown"] for n in range(COUNT)}
    with pytest.raises(Unreachable, match="asks to slow down"):
        delete(gateway)
    assert gateway.in_bulk == [1000]


def test_one_alone_is_asked_for_again_too(gateway: Deleting) -> None:
    """Else whoever repeats would begin with the first of a thousand, and meet the next."""
    gateway.refuses_bulk = True
    gateway.busy = 3
    delete(gateway, 80)
    assert len(gateway.objects) == COUNT - 80
    assert gateway.asked == 83


def test_other_credentials_count_for_deletions_in_bulk_too(gateway: Deleting) -> None:
    nowhere = {"endpoint_url": f"http://127.0.0.1:{closed_port()}", "key": "a", "secret": "b"}
    store: Any = open_store("s3://bucket", nowhere)
    store.renew(lambda: store_at(gateway))
    store.delete(str(n) for n in range(COUNT))
    assert gateway.objects == {}
    store.close()
