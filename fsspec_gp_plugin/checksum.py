"""CRC-32C: the checksum that processors compute and that clouds keep."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Any

_POLYNOMIAL = 0x82F63B78


def crc32c(data: bytes | memoryview, start: int = 0) -> int:
    """Return the CRC-32C of `data`; `start` continues an earlier one, as zlib.crc32() does."""
    value: int = _extension().crc32c(data, start)
    return value


def is_hardware_based() -> bool:
    """Return whether the processor computes the checksum."""
    return bool(_extension().hardware_based)


@lru_cache(maxsize=1)
def _extension() -> Any:
    """The extension module of the package crc32c, without the package around it: its command line and its version
    cost 20 ms of each start.
    """
    from importlib.machinery import PathFinder
    from importlib.util import find_spec, module_from_spec

    package = find_spec("crc32c")
    spec = PathFinder.find_spec("crc32c._crc32c", package.submodule_search_locations if package else None)
    if spec is None or spec.loader is None:
        import crc32c as whole

        return whole
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def combined(first: int, second: int, length: int) -> int:
    """The CRC-32C of two pieces, one behind the other, from theirs; `length`: bytes of the second.

    >>> combined(crc32c(b"back"), crc32c(b"up"), 2) == crc32c(b"backup")
    True
    """
    return _times(_zeros(length), first) ^ second


def in_base64(value: int) -> str:
    """Return the checksum in base64, as S3 writes it."""
    return base64.b64encode(value.to_bytes(4, "big")).decode()


def from_base64(text: str | None) -> int | None:
    """Return a checksum from base64; None for other values, such as the checksum of a multipart upload's checksums."""
    if not text or "-" in text:
        return None
    try:
        value = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return int.from_bytes(value, "big") if len(value) == 4 else None


# A CRC with zeros behind it is a linear function of the CRC: a matrix over bits, its columns as numbers.
_Matrix = tuple[int, ...]


def _times(matrix: _Matrix, vector: int) -> int:
    result = 0
    for column in matrix:
        if vector & 1:
            result ^= column
        vector >>= 1
    return result


@lru_cache(maxsize=64)
def _zeros(length: int) -> _Matrix:
    """Return the matrix that appends so many zero bytes to a CRC. Parts have few sizes, so few are computed."""
    if length == 0:
        return tuple(1 << bit for bit in range(32))
    half = _zeros_by_doubling(length.bit_length() - 1)
    return _product(half, _zeros(length - (1 << (length.bit_length() - 1))))


@lru_cache(maxsize=64)
def _zeros_by_doubling(power: int) -> _Matrix:
    """Return the matrix for 2 ** power zero bytes."""
    if power == 0:
        matrix: _Matrix = (_POLYNOMIAL, *(1 << bit for bit in range(31)))
        for _ in range(3):  # one bit, then two, four, eight
            matrix = _product(matrix, matrix)
        return matrix
    half = _zeros_by_doubling(power - 1)
    return _product(half, half)


def _product(left: _Matrix, right: _Matrix) -> _Matrix:
    return tuple(_times(left, column) for column in right)
