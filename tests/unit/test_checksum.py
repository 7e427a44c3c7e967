"""CRC-32C, of whole bytes and put together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fsspec_gp_plugin.checksum import combined, crc32c, from_base64, in_base64


def test_the_value_of_the_standard() -> None:
    """RFC 3720, B.4."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"123456789") == 0xE3069283


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_the_checksums_of_pieces_make_that_of_the_whole(pieces: list[bytes]) -> None:
    together = 0
    for piece in pieces:
        together = combined(together, crc32c(piece), len(piece))
    assert together == crc32c(b"".join(pieces))


def test_pieces_of_any_length_can_be_combined() -> None:
    zeros = bytes(5 << 20)
    assert combined(crc32c(b"x"), crc32c(zeros), len(zeros)) == crc32c(b"x" + zeros)
    assert 0 <= combined(1, 2, 5 << 40) < 1 << 32


@given(st.integers(0, 2**32 - 1))
def test_base64_and_back(value: int) -> None:
    assert from_base64(in_base64(value)) == value


def test_what_is_no_checksum_of_a_whole_object_is_none() -> None:
    for text in (None, "", "AAAAAA==-3", "no base64", "AAAA"):
        assert from_base64(text) is None
