"""Encrypted streams: what is stored is what `age` would make, whatever the sizes of parts and reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.age.payload import PLAIN_CHUNK, SEALED_CHUNK
from fsspec_gp_plugin.checksum import crc32c
from fsspec_gp_plugin.errors import LocalFileError, Unreachable
from fsspec_gp_plugin.storage.retry import RetryingStore
from fsspec_gp_plugin.storage.retry_policy import RetryPolicy
from fsspec_gp_plugin.transfer.chunks import ChunkOpener
from tests.fakes import FakeStore
from tests.sealing import encrypt, new_test_seal, opening
from tests.unit.sealed_object import DATA, KEY, KINDS, PARTS, SIZES, fetch, put, send, store_of

if TYPE_CHECKING:
    from pathlib import Path


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
