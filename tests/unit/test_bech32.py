"""Bech32 as BIP 173 has it, without its limit of length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsspec_gp_plugin.age import bech32

CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


@pytest.mark.parametrize(
    "text",
    [
        "A12UEL5L",
        "a12uel5l",
        "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
        "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
        f"11{'q' * 82}c8247j",
        "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
        "?1ezyfcl",
    ],
)
def test_the_valid_texts_of_the_specification(text: str) -> None:
    prefix, data = bech32.decode(text)
    assert bech32.encode(prefix, data) == text.lower()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" 1nwldj5", "character"),
        ("\x7f1axkwrx", "character"),
        ("\x801eym55h", "character"),
        ("pzry9x0s0muk", "prefix"),
        ("1pzry9x0s0muk", "prefix"),
        ("x1b4n0q5v", "character"),
        ("li1dgmt3", "checksum"),
        ("de1lg7wt\xff", "character"),
        ("A1G7SGD8", "checksum"),
        ("10a06t8", "prefix"),
        ("1qzzfhee", "prefix"),
        ("a12UEL5L", "mixes"),
        ("a12uel5l\n", "character"),
        ("", "prefix"),
    ],
)
def test_the_invalid_texts_of_the_specification(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        bech32.decode(text)


def test_a_letter_that_becomes_one_of_ascii_in_lower_case_is_refused() -> None:
    text = bech32.encode("age", b"K" * 32).upper()
    with_sign = text.replace("K", "\N{KELVIN SIGN}", 1)
    assert with_sign.lower() == text.lower()
    with pytest.raises(ValueError, match="character"):
        bech32.decode(with_sign)


@pytest.mark.parametrize("value", range(1, 32))
def test_bits_that_are_left_over_must_be_zero(value: int) -> None:
    """One byte has two characters, of which the last has two bits that count for nothing."""
    values = [0, value]
    remainder = bech32._checksum([*bech32._expand("age"), *values, *[0] * 6]) ^ 1
    values += [remainder >> 5 * (5 - place) & 31 for place in range(6)]
    text = "age1" + "".join(CHARACTERS[one] for one in values)
    if value & 3:
        with pytest.raises(ValueError, match="left over"):
            bech32.decode(text)
    else:
        assert bech32.decode(text) == ("age", bytes([value >> 2]))


@given(st.text("abcdefghij-1", min_size=1, max_size=20), st.binary(max_size=100))
def test_what_is_encoded_is_decoded(prefix: str, data: bytes) -> None:
    text = bech32.encode(prefix, data)
    assert bech32.decode(text) == bech32.decode(text.upper()) == (prefix, data)


@given(
    st.binary(min_size=32, max_size=32), st.lists(st.integers(0, 57), min_size=1, max_size=4, unique=True), st.data()
)
def test_four_mistyped_characters_are_always_found(key: bytes, places: list[int], data: st.DataObject) -> None:
    text = list(bech32.encode("age", key))
    for place in places:
        at = len("age1") + place
        text[at] = data.draw(st.sampled_from([one for one in CHARACTERS if one != text[at]]))
    with pytest.raises(ValueError, match="checksum"):
        bech32.decode("".join(text))
