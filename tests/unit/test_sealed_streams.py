"""Encrypted streams: what is stored is what `age` would make, whatever the sizes of parts and reads."""

from __future__ import annotations

import os
import random
import threading
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.age.header import DecryptionError
from fsspec_gp_plugin.age.payload import PLAIN_CHUNK, SEALED_CHUNK
from fsspec_gp_plugin.checksum import crc32c
from fsspec_gp_plugin.errors import LocalFileError, StorageError, Unreachable
from fsspec_gp_plugin.storage.local.store import LocalStore
from fsspec_gp_plugin.storage.retry import RetryingStore
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from fsspec_gp_plugin.transfer.chunks import ChunkOpener
from fsspec_gp_plugin.transfer.download import Download, DownloadSettings
from fsspec_gp_plugin.transfer.upload import Upload, UploadSettings
from tests.fakes import FakeStore
from tests.sealing import OTHER_IDENTITY, TOKEN, encrypt, new_test_seal, opening

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.age.opening import Opening
    from fsspec_gp_plugin.storage.contract import ObjectInfo, Store
    from fsspec_gp_plugin.transfer.download import Downloaded

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


KINDS = ["memory", "parts", "local"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("part_size", PARTS)
def test_every_size_comes_back(tmp_path: Path, kind: str, size: int, part_size: int) -> None:
    store, data = store_of(kind, tmp_path), DATA[:size]
    sent = send(store, data, part_size, fixed=True)
    stored, raw = fetch(store, None)
    assert not isinstance(raw, Exception)
    assert (len(stored), crc32c(stored)) == (sent.size, sent.crc32c)
    assert stored.startswith(b"age-encryption.org/v1\n")
    assert size < 16 or data[:4096] not in stored
    got, result = fetch(store, opening(), expected=sent)
    assert got == data
    assert not isinstance(result, Exception)
    assert (result.size, result.crc32c) == (size, sent.crc32c)


@pytest.mark.parametrize("kind", KINDS)
def test_streams_without_a_checksum_come_back(tmp_path: Path, kind: str) -> None:
    store = store_of(kind, tmp_path)
    sent = send(store, DATA, PARTS[2], checksum=False)
    assert sent.crc32c is None
    assert fetch(store, opening(), checksum=False)[0] == DATA


def test_parts_have_the_size_that_the_store_asks_for() -> None:
    sizes: dict[int, int] = {}
    store = FakeStore(single_request_put=False, send=lambda number, size: sizes.update({number: size}))
    send(store, DATA, 100_000, fixed=True)
    assert {size for number, size in sizes.items() if number < len(sizes)} == {100_000}


def test_two_objects_have_nothing_in_common() -> None:
    first, second = FakeStore(), FakeStore()
    send(first, DATA)
    send(second, DATA)
    assert first.objects[KEY][-1000:] != second.objects[KEY][-1000:]


RANGES = [
    [(0, 10)],
    [(PLAIN_CHUNK - 1, PLAIN_CHUNK + 1)],
    [(0, 1), (1, 2), (PLAIN_CHUNK, PLAIN_CHUNK), (2 * PLAIN_CHUNK, 3 * PLAIN_CHUNK), (len(DATA) - 1, len(DATA))],
    [(0, len(DATA))],
    [(5, 5)],
    [(len(DATA) - 5, len(DATA))],
    [(n * 50_000, n * 50_000 + 17) for n in range(6)],
]


@pytest.mark.parametrize("kind", ["memory", "local"])
@pytest.mark.parametrize("ranges", RANGES)
def test_ranges_come_from_the_chunks_that_have_them(tmp_path: Path, kind: str, ranges: list[tuple[int, int]]) -> None:
    store = store_of(kind, tmp_path)
    sent = send(store, DATA)
    got, result = fetch(store, opening(), ranges, sent)
    assert got == b"".join(DATA[start:end] for start, end in ranges), result


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_ranges_end_where_the_plain_object_does(tmp_path: Path, kind: str) -> None:
    store = store_of(kind, tmp_path)
    send(store, DATA)
    got, result = fetch(store, opening(), [(0, len(DATA) + 1)])
    assert not got
    assert isinstance(result, LocalFileError)
    assert str(len(DATA)) in str(result)


def test_a_range_is_read_by_one_small_request_and_its_chunks() -> None:
    store = FakeStore()
    send(store, DATA)
    store.calls.clear()
    fetch(store, opening(), [(3 * PLAIN_CHUNK + 5, 3 * PLAIN_CHUNK + 6)], read_size=1 << 20)
    start = len(new_test_seal(KEY).start)
    pieces = [call[2] for call in store.calls if call[0] == "piece"]
    assert set(pieces) == {0, start + 3 * SEALED_CHUNK}
    assert [call[0] for call in store.calls if call[0] != "piece"] == ["fetch", "read"]


def damage(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("kind", ["memory", "local"])
@pytest.mark.parametrize("chunk", [0, 2, 5])
def test_the_output_ends_before_a_chunk_that_was_changed(tmp_path: Path, kind: str, chunk: int) -> None:
    store, whole = store_of(kind, tmp_path), encrypt(KEY, DATA)
    start = len(new_test_seal(KEY).start)
    put(store, damage(whole, start + chunk * SEALED_CHUNK + 7))
    got, result = fetch(store, opening())
    assert got == DATA[: chunk * PLAIN_CHUNK]
    assert isinstance(result, DecryptionError)
    assert KEY in str(result)
    got, result = fetch(store, opening(), [(chunk * PLAIN_CHUNK, chunk * PLAIN_CHUNK + 1)])
    assert not got
    assert isinstance(result, DecryptionError)


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_what_is_cut_moved_or_added_is_refused(tmp_path: Path, kind: str) -> None:
    store, whole, start = store_of(kind, tmp_path), encrypt(KEY, DATA), len(new_test_seal(KEY).start)
    chunks = [whole[at : at + SEALED_CHUNK] for at in range(start, len(whole), SEALED_CHUNK)]
    foreign = encrypt(KEY, DATA)[start : start + SEALED_CHUNK]
    wrong = {
        "ends at a chunk": whole[: start + 2 * SEALED_CHUNK],
        "ends in a chunk": whole[: start + 2 * SEALED_CHUNK + 100],
        "ends in a tag": whole[: start + 2 * SEALED_CHUNK + 9],
        "ends in its nonce": whole[: start - 5],
        "ends in its header": whole[: start - 40],
        "has only the header": whole[:start],
        "in another order": whole[:start] + b"".join([chunks[1], chunks[0], *chunks[2:]]),
        "one is there twice": whole[:start] + b"".join([chunks[0], chunks[0], *chunks[1:]]),
        "one is missing": whole[:start] + b"".join([chunks[0], *chunks[2:]]),
        "the first is missing": whole[:start] + b"".join(chunks[1:]),
        "one is another object's": whole[:start] + b"".join([chunks[0], foreign, *chunks[2:]]),
        "something follows": whole + b"!",
        "a chunk follows": whole + chunks[0],
        "an empty chunk follows": whole[: start + 5 * SEALED_CHUNK] + bytes(16),
    }
    for what, data in wrong.items():
        put(store, data)
        got, result = fetch(store, opening())
        assert isinstance(result, DecryptionError), what
        assert DATA.startswith(got), what
        assert len(got) < len(DATA) or what.endswith("follows"), what


@pytest.mark.parametrize("kind", ["memory", "local"])
@pytest.mark.parametrize("ranges", [None, [(0, 1)]])
def test_only_the_object_of_this_name_and_backup_is_opened(
    tmp_path: Path, kind: str, ranges: list[tuple[int, int]] | None
) -> None:
    store = store_of(kind, tmp_path)
    wrong = {
        "another object": encrypt(KEY.replace("16384", "16385"), DATA),
        "another backup": encrypt(KEY, DATA, "f" * 32),
        "not encrypted": DATA,
        "none of the identities": encrypt(KEY, DATA, TOKEN, OTHER_IDENTITY),
    }
    for what, data in wrong.items():
        put(store, data)
        got, result = fetch(store, opening(), ranges)
        assert not got
        assert isinstance(result, DecryptionError)
        assert what in str(result)
        assert KEY in str(result)
    put(store, encrypt(KEY.replace("16384", "16385"), DATA))
    assert fetch(store, opening(any_name=True), ranges)[0] == (DATA if ranges is None else DATA[:1])
    put(store, encrypt(KEY, DATA, token=""))  # the host that wrote it could not read the claim
    assert fetch(store, opening(), ranges)[0] == (DATA if ranges is None else DATA[:1])


@pytest.mark.parametrize("kind", ["memory", "local"])
@pytest.mark.parametrize("size", [0, 5, 30, len(DATA)])
def test_without_a_claim_the_first_bytes_decide(tmp_path: Path, kind: str, size: int) -> None:
    store, how = store_of(kind, tmp_path), opening(is_encrypted=None)
    put(store, DATA[:size])
    assert fetch(store, how)[0] == DATA[:size]
    assert fetch(store, how, [(0, size)])[0] == DATA[:size]
    put(store, encrypt(KEY, DATA[:size]))
    assert fetch(store, how)[0] == DATA[:size]
    assert fetch(store, how, [(0, size)])[0] == DATA[:size]


@pytest.mark.parametrize("step", [1, 7, 1000, SEALED_CHUNK, 200_000])
def test_bytes_may_arrive_in_pieces_of_any_size(step: int) -> None:
    data = DATA[: PLAIN_CHUNK + 1000 if step < 1000 else len(DATA)]
    whole, opener = encrypt(KEY, data), ChunkOpener(KEY, opening())
    got = bytearray()
    for at in range(0, len(whole), step):
        for plain in opener.feed(memoryview(whole)[at : at + step]):
            got += plain
    for plain in opener.finish():
        got += plain
    assert got == data


def test_the_checksum_is_compared_before_the_last_chunk_is_written() -> None:
    store = FakeStore()
    sent = send(store, DATA)
    got, result = fetch(store, opening(), expected=sent._replace(crc32c=1))
    assert isinstance(result, StorageError)
    assert "checksum" in str(result)
    assert len(got) < len(DATA)


def test_a_restore_goes_on_in_mid_stream() -> None:
    """Connections that break twice in each range, within chunks."""
    broken: dict[int, int] = {}

    def break_off(method: str, key: str, start: int) -> None:
        if method == "piece" and start % 100_000 == 60_000 and broken.setdefault(start, 0) < 2:
            broken[start] += 1
            raise Unreachable(f"{key}: the connection broke")

    store = FakeStore(break_off, piece=30_000)
    sent = send(store, DATA)
    patient = RetryingStore(store, RetryPolicy(60.0, first_pause=0))
    assert fetch(patient, opening(), expected=sent)[0] == DATA
    assert fetch(patient, opening(), [(10, 300_000)], sent)[0] == DATA[10:300_000]
    assert set(broken.values()) == {2}
    assert len(broken) >= 3
