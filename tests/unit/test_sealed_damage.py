"""Encrypted objects that were changed, or put in the place of others, are refused."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from fsspec_gp_plugin.age.header import DecryptionError
from fsspec_gp_plugin.age.payload import PLAIN_CHUNK, SEALED_CHUNK
from fsspec_gp_plugin.errors import StorageError
from tests.fakes import FakeStore
from tests.sealing import OTHER_IDENTITY, TOKEN, encrypt, new_test_seal, opening
from tests.unit.sealed_object import DATA, KEY, damage, fetch, put, send, store_of

if TYPE_CHECKING:
    from pathlib import Path


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


def test_the_checksum_is_compared_before_the_last_chunk_is_written() -> None:
    store = FakeStore()
    sent = send(store, DATA)
    got, result = fetch(store, opening(), expected=sent._replace(crc32c=1))
    assert isinstance(result, StorageError)
    assert "checksum" in str(result)
    assert len(got) < len(DATA)


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_a_long_stream_is_opened_in_order_and_ends_before_a_changed_chunk(tmp_path: Path, kind: str) -> None:
    before = threading.active_count()
    data = random.Random(7).randbytes(100 * PLAIN_CHUNK + 1)
    store, whole, start = store_of(kind, tmp_path), encrypt(KEY, data), len(new_test_seal(KEY).start)
    put(store, whole)
    assert fetch(store, opening(), read_size=1 << 20)[0] == data
    for chunk in (0, 15, 16, 17, 63, 64, 99, 100):
        put(store, damage(whole, start + chunk * SEALED_CHUNK + 7))
        got, result = fetch(store, opening(), read_size=1 << 20)
        assert isinstance(result, DecryptionError)
        assert got == data[: chunk * PLAIN_CHUNK]
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
