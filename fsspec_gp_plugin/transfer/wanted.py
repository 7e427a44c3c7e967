"""What an object must be like to be the one that is wanted: in its size, its checksum, and the spans that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import LocalFileError, StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..storage.contract import ObjectInfo


def require_size(info: ObjectInfo, expected: ObjectInfo | None) -> None:
    """Before the first byte: StorageError for what is known to be another object than the expected one."""
    if expected is None:
        return
    if info.size != expected.size:
        raise StorageError(f"{info.key} has {info.size} bytes; {expected.size} were backed up, says its manifest")
    if None not in (info.crc32c, expected.crc32c) and info.crc32c != expected.crc32c:
        raise StorageError(
            f"{info.key} has the checksum {info.crc32c:08x}, says the store, but {expected.crc32c:08x} was backed up, "
            "says its manifest"
        )


def require_crc(info: ObjectInfo, crc: int, expected: int | None) -> None:
    """StorageError where the CRC-32C of what arrived is not the expected one, if there is one."""
    if expected is not None and expected != crc:
        raise StorageError(
            f"{info.key}: what arrived has the checksum {crc:08x}, what was stored {expected:08x}; "
            "the bytes were changed on their way or in the store"
        )


def require_within(info: ObjectInfo, spans: Sequence[tuple[int, int]]) -> None:
    """LocalFileError where spans of bytes, ascending, reach beyond the object's end."""
    if spans and spans[-1][1] > info.size:
        raise LocalFileError(f"the offsets ask for byte {spans[-1][1]} of {info.key}, which has {info.size}")
