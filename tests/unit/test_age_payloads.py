"""Payloads from a bucket that others may write: what comes out is what was encrypted, or its beginning and an error."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsspec_gp_plugin.age.header import DecryptionError
from fsspec_gp_plugin.age.payload import (
    NONCE_SIZE,
    PLAIN_CHUNK,
    SEALED_CHUNK,
    TAG_SIZE,
    PayloadKey,
    count_chunks,
    plain_size,
)
from fsspec_gp_plugin.transfer.chunks import ChunkOpener
from fsspec_gp_plugin.transfer.sealed_ranges import SealedRanges
from tests.sealing import encrypt, new_test_seal, opening

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "backups/20260101/20260101120000/gpbackup_0_20260101120000_16384.gz"
START = len(new_test_seal(KEY).start)
# Three whole chunks and a short one; and one whose last chunk is a whole one.
PLAIN = {size: random.Random(size).randbytes(size) for size in (3 * PLAIN_CHUNK + 999, 2 * PLAIN_CHUNK, 77, 0)}
WHOLE = {size: encrypt(KEY, data) for size, data in PLAIN.items()}
FOREIGN = encrypt(KEY, random.Random(5).randbytes(3 * PLAIN_CHUNK + 999))


def cut(data: bytes) -> list[bytes]:
    """The chunks of an object."""
    return [data[at : at + SEALED_CHUNK] for at in range(START, len(data), SEALED_CHUNK)]


def opened(data: bytes, size: int) -> tuple[bytes, bool]:
    """What comes out of an object that arrives in pieces of a size, and whether it was whole."""
    opener, found = ChunkOpener(KEY, opening()), bytearray()
    steps: Iterator[Iterator[memoryview]] = (
        opener.feed(memoryview(data)[at : at + size]) for at in range(0, len(data), size)
    )
    try:
        for step in (*steps, opener.finish()):
            for plain in step:
                found += plain
    except DecryptionError as error:
        assert str(error).startswith(f"{KEY} ")  # noqa: PT017 - most of them fail
        return bytes(found), False
    return bytes(found), True


@st.composite
def changed(draw: st.DrawFn, size: int) -> bytes:
    """An object whose chunks were left out, moved, doubled, exchanged, cut, changed, or got others at the end."""
    head, chunks = WHOLE[size][:START], cut(WHOLE[size])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(chunks)))
        how = draw(st.sampled_from(["drop", "move", "double", "foreign", "cut", "flip", "nonce", "add"]))
        one = chunks[min(at, len(chunks) - 1)] if chunks else b""
        if how == "drop":
            del chunks[at : at + 1]
        elif how == "move":
            chunks = draw(st.permutations(chunks))
        elif how == "double":
            chunks.insert(at, one)
        elif how == "foreign":
            chunks[at : at + draw(st.integers(0, 1))] = [draw(st.sampled_from(cut(FOREIGN)))]
        elif how == "cut":
            chunks = [
                *chunks[:at],
                one[: draw(st.sampled_from([0, 1, 15, 16, 17, 100, PLAIN_CHUNK, SEALED_CHUNK - 1]))],
            ]
        elif how == "flip" and one:
            place = draw(st.integers(0, len(one) - 1))
            chunks[at : at + 1] = [one[:place] + bytes([one[place] ^ 1]) + one[place + 1 :]]
        elif how == "nonce":
            head = draw(st.sampled_from([head[:-NONCE_SIZE] + FOREIGN[START - NONCE_SIZE : START], head[:-1]]))
        else:
            chunks.append(draw(st.binary(max_size=100)))
    return head + b"".join(chunks)


@pytest.mark.parametrize("size", PLAIN)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_never_other_bytes_than_those_that_were_encrypted(size: int, data: st.DataObject) -> None:
    stored = data.draw(changed(size))
    found, whole = opened(stored, data.draw(st.sampled_from([1 << 20, SEALED_CHUNK, 70_001, 4096])))
    assert whole == (stored == WHOLE[size])
    assert PLAIN[size].startswith(found)
    assert whole == (found == PLAIN[size]) or not found
    # Exactly what is before the first chunk that is not in its place.
    same = next((at for at, (a, b) in enumerate(zip(cut(stored), cut(WHOLE[size]), strict=False)) if a != b), None)
    if not whole and same is not None and stored[:START] == WHOLE[size][:START]:
        assert len(found) in (same * PLAIN_CHUNK, (same - 1) * PLAIN_CHUNK)


@given(at=st.integers(0, len(WHOLE[2 * PLAIN_CHUNK]) - 1))
@settings(max_examples=60, deadline=None)
def test_an_object_that_was_cut_anywhere_is_not_whole(at: int) -> None:
    for end in (at, START + SEALED_CHUNK, START + SEALED_CHUNK + TAG_SIZE, START, START - 1):
        found, whole = opened(WHOLE[2 * PLAIN_CHUNK][:end], 70_001)
        assert not whole
        assert PLAIN[2 * PLAIN_CHUNK].startswith(found)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_ranges_have_never_other_bytes(data: st.DataObject) -> None:
    """The size of the object is believed to the store, and nothing else."""
    size = 3 * PLAIN_CHUNK + 999
    stored, plain = data.draw(changed(size)), PLAIN[size]
    if len(stored) < START or stored[:START] != WHOLE[size][:START]:
        return
    begin = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(begin + 1, size))
    found = bytearray()
    try:
        seal = new_payload(stored)
        ranges = SealedRanges(KEY, seal, len(stored), START, [(begin, end)])
        if end > ranges.plain_size:
            return  # refused before anything is read
        for first, last in ranges.stored_ranges():
            for piece in ranges.feed(memoryview(stored)[first:last]):
                found += piece
        assert found == plain[begin:end]
    except DecryptionError:
        assert plain[begin:end].startswith(found)


def new_payload(stored: bytes) -> PayloadKey:
    from fsspec_gp_plugin.transfer.chunks import open_payload, read_header

    header = read_header(KEY, stored[:START])
    assert header
    return open_payload(KEY, opening(), header, stored[:START])[0]


@given(st.integers(0, 1 << 50))
def test_sizes_of_payloads(size: int) -> None:
    chunks = max(1, -(-size // PLAIN_CHUNK))
    sealed = size + chunks * TAG_SIZE
    assert count_chunks(sealed) == chunks
    assert plain_size(sealed) == size


@pytest.mark.parametrize("whole", [0, 1, 2, 1 << 40])
def test_only_sizes_that_a_payload_can_have_are_taken(whole: int) -> None:
    """The last chunk has at least a tag, and is empty only where it is the only one."""
    for rest in [*range(40), SEALED_CHUNK - 1]:
        size = whole * SEALED_CHUNK + rest
        if rest > TAG_SIZE or (rest == TAG_SIZE and not whole) or (not rest and whole):
            assert plain_size(size) == size - count_chunks(size) * TAG_SIZE
        else:
            with pytest.raises(DecryptionError, match="no encrypted object can end"):
                count_chunks(size)


def test_a_chunk_fits_its_place_only() -> None:
    key, other = PayloadKey(bytes(16), bytes(16)), PayloadKey(bytes(16), b"\x01" + bytes(15))
    sealed, plain = memoryview(bytearray(21)), memoryview(bytearray(5))
    key.seal(256, b"plain", sealed, is_last=False)
    key.open(256, sealed, plain, is_last=False)
    assert bytes(plain) == b"plain"
    for one, number, is_last in (
        (key, 256, True),
        (key, 255, False),
        (key, 1, False),
        (key, 0, False),
        (other, 256, False),
    ):
        with pytest.raises(DecryptionError, match="are not what was written"):
            one.open(number, sealed, plain, is_last=is_last)
