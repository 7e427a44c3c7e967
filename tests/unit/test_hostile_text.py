"""What reads text that came from a store takes time by its length, whatever it is, and says what is wrong with it."""

from __future__ import annotations

import ftplib
import gzip
import json
import socket
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fsspec_gp_plugin import keys
from fsspec_gp_plugin.backups import gpbackup_files, required
from fsspec_gp_plugin.backups.backup import Backup
from fsspec_gp_plugin.errors import StorageError
from fsspec_gp_plugin.integrity import claim, contents, entries, manifest, marks, object_names, verification
from fsspec_gp_plugin.storage.azure import answers as azure_answers
from fsspec_gp_plugin.storage.azure import listing as azure_listing
from fsspec_gp_plugin.storage.contract import ObjectInfo
from fsspec_gp_plugin.storage.files.ftp import ftplib_additions as ftp_connection
from fsspec_gp_plugin.storage.files.web import dialect as web_page
from fsspec_gp_plugin.storage.files.webhdfs import client as webhdfs_client
from fsspec_gp_plugin.storage.gcs import requests as gcs_requests
from fsspec_gp_plugin.storage.http.connection import BadAnswerError, Response
from fsspec_gp_plugin.storage.plain_xml import NotPlainError, require_plain
from fsspec_gp_plugin.storage.reading import read_pieces, split_lines
from fsspec_gp_plugin.storage.s3.answers import Refusal as S3Refusal
from tests.fakes import FakeStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = "20260101120000"
PREFIX = keys.backup_prefix(T)
SIZE = 1 << 20
# All take less than 0.3 s, on a machine of 2026; by the square of the length it would be minutes.
CPU_SECONDS = 6.0
REFUSED = (StorageError, ValueError, azure_answers.ForeignAnswerError, gcs_requests.ForeignAnswerError)


def repeated(piece: bytes, start: bytes = b"") -> bytes:
    return start + piece * ((SIZE - len(start)) // len(piece))


FOLDER = object_names.FOLDER.encode()
LETTERS = bytes.maketrans(b"0123456789", b"abcdefghij")
SHAPES = {
    "newlines": repeated(b"\n"),
    "blanks": repeated(b" "),
    "tabs": repeated(b"\t"),
    "one line": repeated(b"a"),
    "points": repeated(b"a."),
    "digits": repeated(b"9"),
    "zeros": bytes(SIZE),
    "lists": repeated(b"["),
    "mappings": repeated(b'{"a":'),
    "elements": repeated(b"<a>"),
    "closed elements": repeated(b"<a/>", b"<EnumerationResults>"),
    "text in an element": repeated(b"a", b"<EnumerationResults><Blobs><Blob><Name>"),
    "attributes": repeated(b' a="b"', b"<a"),
    "codes": repeated(b"<Code>"),
    "a tag of blanks": repeated(b" ", b"<a"),
    "tags of blanks": repeated(b"<a  \n"),
    "tags without an end": repeated(b"<a href='"),
    "addresses": repeated(b"http://"),
    "a report whose command line is last": repeated(b"duration: 1\n", b"database name: a\n") + b"command line: b\n",
    "a report of keys": repeated(b"command line: \n", b"database name: a\n"),
    "a report of colons": repeated(b"a : "),
    "a plan of nothing": repeated(b"\n", b"restoreplan:\n"),
    "a plan without tables": repeated(b"- timestamp: \n", b"restoreplan:\n"),
    "a plan of blanks": repeated(b" ", b"restoreplan:\n- timestamp:"),
    "keys of a record": b"".join(b"%b: 1\n" % (b"%07d" % n).translate(LETTERS) for n in range(SIZE // 11)),
    "data entries": repeated(b"- schema: a\n", b"dataentries:\n"),
    "an oid of blanks": repeated(b" ", b"dataentries:\n- oid:"),
    "a content of digits": repeated(b"9", b"gpbackup_"),
    "data names": repeated(b"_9", b"gpbackup_0_20260101120000"),
    "a mark": repeated(b".aaaaaaaaaaaa", FOLDER),
    "a mark that ends": repeated(b".aaaaaaaaaaaa.mark", FOLDER),
    "a manifest": repeated(b".aaaaaaaaaaaa-aaaaaa", FOLDER),
    "a probe": repeated(b"_written_", b"gpbackup_20260101120000_probe_"),
    "working files": repeated(b".a.aaaaaaaaaaaa.part"),
    "directories of working files": repeated(b"/.a.aaaaaaaaaaaa.par"),
    "facts": repeated(b"type=file;"),
    "words": repeated(b"- "),
}


def of_lines(read: Callable[[Iterator[bytes]], Any], longest: int) -> Callable[[bytes], Any]:
    """A reader of an object's lines, as they come from a store."""

    def reader(text: bytes) -> Any:
        store = FakeStore()
        store.objects["key"] = text
        return read(split_lines(read_pieces(store, ObjectInfo("key", len(text))), longest))

    return reader


class FtpLines(ftplib.FTP):
    """A listing in lines of the length that ftplib lets pass."""

    def __init__(self, text: bytes) -> None:
        self.lines = [text[at : at + 8192].decode("latin-1") for at in range(0, len(text), 8192)]

    def retrlines(self, cmd: str, callback: Callable[[str], object] | None = None) -> str:
        del cmd
        assert callback is not None
        for line in self.lines:
            callback(line)
        return "226 done"


def names(text: bytes) -> None:
    """All that reads the name of an object."""
    name = text.decode("latin-1")
    for read in (
        marks.parse_host_mark,
        marks.parse_copy_mark,
        verification.parse_name,
        object_names.parse_manifest_name,
        object_names.is_manifest,
    ):
        read(name)
    object_names.is_plugins_own(name)
    claim.is_claim(name)
    keys.is_unfinished(PREFIX + name)
    keys.is_plugin_config(PREFIX + name)
    entries.is_object_name(name)
    Backup(T).count(ObjectInfo(PREFIX + name, 1))
    required.Required(T, segments=1).place(name)


READERS: dict[str, Callable[[bytes], Any]] = {
    "report": lambda text: gpbackup_files.parse_report(text.decode(errors="replace")),
    "record": of_lines(lambda found: gpbackup_files.parse_backup_config("key", found), 64 << 10),
    "table of contents": of_lines(lambda found: required.parse_oids("key", found), 128),
    "claim": lambda text: claim.decode("key", T, text[: claim.LARGEST]),
    "manifest": lambda text: list(manifest.decode("key", T, [gzip.compress(text)], manifest.Budget())),
    "manifest, bare": lambda text: list(manifest.decode("key", T, [text], manifest.Budget())),
    "index": lambda text: manifest.decode_index("key", T, [gzip.compress(text)]),
    "contents": lambda text: contents.parse_contents(text.decode("latin-1")),
    "entry": entries.parse_entry,
    "names": names,
    "S3's refusal": lambda text: S3Refusal(400, text.decode("latin-1")),
    "Azure's refusal": lambda text: azure_answers.Refusal(400, {}, text.decode("latin-1")),
    "Azure's listing": azure_listing.parse_page,
    "Google's refusal": lambda text: gcs_requests.Refusal(400, text.decode("latin-1")),
    "Google's answer": lambda text: gcs_requests._object(text.decode("latin-1")),
    "XML": require_plain,
    "HDFS' refusal": lambda text: webhdfs_client._remote(400, text.decode("latin-1")),
    "a web page": lambda text: web_page.names_below("http://a/b/", text.decode("latin-1"), simple=True),
    "FTP's facts": lambda text: ftp_connection.by_facts(FtpLines(text).mlsd()),
    "FTP's ls": lambda text: ftp_connection.by_ls(FtpLines(text).lines),
}


@pytest.mark.parametrize("reader", READERS)
def test_its_time_grows_with_the_length(reader: str) -> None:
    for name, text in SHAPES.items():
        before = time.thread_time()
        with suppress(*REFUSED):
            READERS[reader](text)
        assert time.thread_time() - before < CPU_SECONDS, name


PACKED = gzip.compress(b"{}\n", mtime=0)


def test_a_record_keeps_only_what_is_of_use() -> None:
    record = b"".join([b"segmentcount: 3\n", *(b"%b: 1\n" % (b"a" * length) for length in range(1, 50))])
    assert gpbackup_files.parse_backup_config("key", record.split(b"\n")) == gpbackup_files.BackupConfig(
        segments=3, suffix=""
    )


@pytest.mark.parametrize("packed", [PACKED + bytes(1 << 17), PACKED * 2], ids=["zeros", "another"])
def test_what_follows_a_manifest_is_not_fetched(packed: bytes) -> None:
    def pieces() -> Iterator[bytes]:
        yield packed
        yield bytes(1 << 17)
        pytest.fail("more was requested")

    with pytest.raises(manifest.BadManifest):
        list(manifest.decode("key", T, pieces(), manifest.Budget()))


@pytest.mark.parametrize(
    "text",
    [
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        "<?xml version='1.0' encoding='utf-16'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>".encode("utf-16"),
        b"<a>" * 60 + b"</a>" * 60,
    ],
    ids=["entities", "in UTF-16", "nested"],
)
def test_xml_that_no_store_sends_is_refused(text: bytes) -> None:
    with pytest.raises(NotPlainError):
        require_plain(text)
    with pytest.raises(azure_answers.ForeignAnswerError):
        azure_listing.parse_page(text)


def test_the_links_of_a_web_servers_page() -> None:
    page = """<a href="../">up</a> <A class="x" HREF='one'>1</A> <a href="/b/two/">2</a>
        <a href="http://a/b/three">3</a> <a href="http://c/d">other</a> <abbr href="no">"""
    expected = {"http://a/b/one", "http://a/b/two/", "http://a/b/three"}
    assert web_page.names_below("http://a/b/", page, simple=False) == expected


def test_an_answer_of_hdfs_is_read_up_to_a_limit() -> None:
    closed: list[bool] = []
    answer = SimpleNamespace(iter_content=lambda size: iter([bytes(size)] * 100), close=lambda: closed.append(True))
    assert len(webhdfs_client._read(answer, 100_000)) == 100_000
    assert closed == [True]
    assert webhdfs_client._in_answer(SimpleNamespace(iter_content=lambda _: [json.dumps({"a": 1}).encode()]), "a") == 1


def test_a_length_of_too_many_digits_is_no_answer() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 60000 + b"\r\n\r\n")
        with pytest.raises(BadAnswerError, match="no length"):
            Response(ours, "GET")
