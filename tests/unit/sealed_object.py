"""One object that is encrypted on its way to a store and decrypted on its way back."""

from __future__ import annotations

import os
import random
import threading
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.age.payload import PLAIN_CHUNK, SEALED_CHUNK
from fsspec_gp_plugin.errors import LocalFileError, StorageError
from fsspec_gp_plugin.storage.local.store import LocalStore
from fsspec_gp_plugin.transfer.download import Download, DownloadSettings
from fsspec_gp_plugin.transfer.upload import Upload, UploadSettings
from tests.fakes import FakeStore
from tests.sealing import new_test_seal

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.age.opening import Opening
    from fsspec_gp_plugin.storage.contract import ObjectInfo, Store
    from fsspec_gp_plugin.transfer.download import Downloaded


KINDS = ["memory", "parts", "local"]
KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000_16384.gz"
DATA = random.Random(19).randbytes(5 * PLAIN_CHUNK + 12_345)
SIZES = [0, 1, 15, PLAIN_CHUNK - 1, PLAIN_CHUNK, PLAIN_CHUNK + 1, 2 * PLAIN_CHUNK, len(DATA)]
# Parts of one chunk more or less, of less than one chunk, and such that none ends where a chunk does.
PARTS = [65536, SEALED_CHUNK, 100_000, 3 * SEALED_CHUNK, 1 << 20]


def send(
    store: Store, data: bytes, part_size: int = 1 << 20, *, fixed: bool = False, checksum: bool = True
) -> ObjectInfo:
    """Send a stream through a pipe, a few bytes at a time."""
    read, write = os.pipe()

    def feed() -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(write, view[:70_001]) :]
        os.close(write)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        settings = UploadSettings(part_size, 3, fixed=fixed, checksum=checksum)
        return Upload(store, KEY, settings, pytest.fail, seal=new_test_seal(KEY)).run(read)
    finally:
        os.close(read)
        thread.join()


def fetch(
    store: Store,
    how: Opening | None,
    ranges: list[tuple[int, int]] | None = None,
    expected: ObjectInfo | None = None,
    read_size: int = 100_000,
    *,
    checksum: bool = True,
) -> tuple[bytes, Downloaded | Exception]:
    """What arrives of an object, and the result or the error."""
    sink = os.memfd_create("sink")
    try:
        download = Download(store, sink, DownloadSettings(read_size, 3, checksum=checksum), opening=how)
        result: Downloaded | Exception
        try:
            result = (
                download.write_whole(KEY, expected) if ranges is None else download.write_ranges(KEY, ranges, expected)
            )
        except (StorageError, LocalFileError) as error:
            result = error
        return os.pread(sink, 1 << 30, 0), result
    finally:
        os.close(sink)


def store_of(kind: str, path: Path) -> Store:
    return LocalStore(str(path)) if kind == "local" else FakeStore(single_request_put=kind != "parts", piece=30_000)


def put(store: Store, data: bytes) -> None:
    with memoryview(data) as view:
        store.put(KEY, view)


def damage(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
