"""Bech32, in which age writes recipients and identities (BIP 173, without its limit of 90 characters)."""

from __future__ import annotations

_CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_CHARACTERS)}
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_SIZE = 6


def encode(prefix: str, data: bytes) -> str:
    """The data in Bech32, in lower case; `prefix`: what stands before the separator `1`."""
    values = _regroup(data, 8, 5, pad=True)
    remainder = _checksum([*_expand(prefix), *values, *[0] * _CHECKSUM_SIZE]) ^ 1
    values += [remainder >> 5 * (_CHECKSUM_SIZE - 1 - place) & 31 for place in range(_CHECKSUM_SIZE)]
    return f"{prefix}1{''.join(_CHARACTERS[value] for value in values)}"


def decode(text: str) -> tuple[str, bytes]:
    """The prefix in lower case, and the data. Raises ValueError for anything that encode() would not have written, in
    lower or in upper case.
    """
    # Of other characters some become letters of ASCII when their case is changed.
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("it has a character that is not allowed")
    if text not in (text.lower(), text.upper()):
        raise ValueError("it mixes lower and upper case")
    prefix, _, rest = text.lower().rpartition("1")
    if not prefix:
        raise ValueError("it has no prefix")
    try:
        values = [_VALUES[character] for character in rest]
    except KeyError:
        raise ValueError("it has a character that is not allowed") from None
    if len(values) < _CHECKSUM_SIZE or _checksum([*_expand(prefix), *values]) != 1:
        raise ValueError("its checksum is wrong: is a character missing or mistyped?")
    return prefix, bytes(_regroup(values[:-_CHECKSUM_SIZE], 5, 8, pad=False))


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode()
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _checksum(values: list[int]) -> int:
    result = 1
    for value in values:
        top = result >> 25
        result = (result & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_GENERATORS):
            if top >> place & 1:
                result ^= generator
    return result


def _regroup(values: bytes | list[int], width: int, to: int, *, pad: bool) -> list[int]:
    """The same bits in groups of another width. Without `pad`, ValueError unless what is left over is zero bits of less
    than one group.
    """
    bits = count = 0
    found = []
    for value in values:
        bits = bits << width | value
        count += width
        while count >= to:
            count -= to
            found.append(bits >> count & (1 << to) - 1)
    left = bits & (1 << count) - 1
    if pad and count:
        found.append(left << to - count)
    elif not pad and (count >= width or left):
        raise ValueError("it has bits left over")
    return found
