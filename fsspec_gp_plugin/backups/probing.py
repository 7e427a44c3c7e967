"""Does a target do what a backup needs? Tried for real, in small, once a host, before the data flows.

Whatever a filesystem says of itself, it is what it does that counts: some answer a rename that failed with success,
some make an object visible that was never finished, some can't write at all.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import time
from typing import TYPE_CHECKING

from ..errors import AccessDenied, NotFound, PluginError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..storage.api import ObjectInfo, Store

    # Takes what is not as it might be, and yet no failure.
    Note = Callable[[str], None]

_BLOCK = 4096
_LOOKS = 5


def probe(store: Store, prefix: str, timestamp: str, note: Note) -> None:
    """Do with objects below the prefix what a backup and a restore will do; StorageError for what does not work.

    Credentials that may only write are enough for a backup, so reading, listing and deleting may be denied.
    """
    host = re.sub(r"[^A-Za-z0-9-]", "-", os.uname().nodename)[:64]
    key = f"{prefix}gpbackup_{timestamp}_probe_{host}_{secrets.token_hex(4)}"
    blocks = [secrets.token_bytes(_BLOCK), secrets.token_bytes(_BLOCK // 2)]
    aborted, written = f"{key}_aborted", f"{key}_written"
    _abort(note, store, aborted, blocks)
    try:
        _require_absent(store, aborted, "an upload that was aborted is visible as an object")
        _write_insistently(store, written, blocks)
        _read_back(note, store, written, b"".join(blocks))
        _list(note, store, prefix, written, len(b"".join(blocks)))
    finally:
        _delete(note, store, [aborted, written], prefix)


def first_bytes(store: Store, info: ObjectInfo, most: int = 1 << 20) -> bytes:
    """An object's first bytes, `most` of them at the most."""
    return _range(store, info, 0, min(info.size, most))


def _range(store: Store, info: ObjectInfo, start: int, end: int) -> bytes:
    buffer = bytearray(end - start)
    with memoryview(buffer) as view:
        for _ in store.read(info, start, view):
            pass
    return bytes(buffer)


def _abort(note: Note, store: Store, key: str, blocks: list[bytes]) -> None:
    writer = store.begin(key)
    try:
        for number, block in enumerate(blocks, 1):
            writer.write(number, memoryview(block))
    except BaseException:
        try:
            writer.abort()
        except StorageError as error:
            note(f"the probe's upload can't be aborted: {error}")
        raise
    try:
        writer.abort()
    except AccessDenied as error:
        note(f"these credentials can't abort uploads, so failed ones stay in the store: {error}")


def _write_insistently(store: Store, key: str, blocks: list[bytes]) -> None:
    """MinIO also denies access where another host's probe has just emptied the directory; who may not write is denied
    again.
    """
    for look in range(_LOOKS):
        try:
            return _write(store, key, blocks)
        except AccessDenied:
            if look + 1 == _LOOKS:
                raise
        time.sleep(random.uniform(0.05, 0.2))  # noqa: S311 - so that they don't meet again
    return None


def _write(store: Store, key: str, blocks: list[bytes]) -> None:
    """By the way that small objects go, and, where that is another, by the way of large ones."""
    whole = b"".join(blocks)
    if store.capabilities.single_request_put:
        store.put(key, memoryview(whole))
    writer = store.begin(key)
    try:
        # Where parts have a least size, the only one may be smaller.
        parts = blocks if store.capabilities.min_part_size <= _BLOCK else [whole]
        for number, part in enumerate(parts, 1):
            writer.write(number, memoryview(part))
        writer.complete(len(whole))
    except BaseException:
        writer.abort()
        raise


def _read_back(note: Note, store: Store, key: str, content: bytes) -> None:
    middle = (1000, _BLOCK + 1000)
    try:
        info = store.stat(key)
        found = first_bytes(store, info)
        cut = _range(store, info, *middle) if info.size == len(content) else b""
    except AccessDenied as error:
        note(f"these credentials can write but not read, so a restore needs others: {error}")
        return
    if found != content:
        raise StorageError(
            f"the target does not give back what was written: {len(found)} bytes of {len(content)} in {key}; "
            "a store that keeps upload framing in the object needs "
            "`config_kwargs: {request_checksum_calculation: when_required}` in storage_options"
        )
    if cut != content[slice(*middle)]:
        raise StorageError(f"the target gives other bytes than those asked for when a range of {key} is read")


def _list(note: Note, store: Store, prefix: str, key: str, size: int) -> None:
    for look in range(_LOOKS):
        if look:
            time.sleep(1)  # some stores' listings lag behind
        try:
            found = {info.key: info.size for info in store.find(prefix)}
        except AccessDenied as error:
            note(f"these credentials can't list, so list_directory and delete_backup need others: {error}")
            return
        if found.get(key) == size:
            return
    told = f"{found[key]} bytes instead of {size}" if key in found else "no such object"
    raise StorageError(f"the target's listing of {prefix} is wrong: {told}, after {key} was written")


def _require_absent(store: Store, key: str, problem: str) -> None:
    try:
        store.stat(key)
    except (NotFound, AccessDenied):
        return  # who may not look can't tell
    raise StorageError(f"this target can't hold backups: {problem} ({key})")


def _delete(note: Note, store: Store, keys: list[str], prefix: str) -> None:
    try:
        store.delete(keys)
        store.delete_empty_directories(prefix)
    except PluginError as error:
        # Also when the target keeps its objects for a time: the probe's is small and goes with its backup.
        note(f"the probe's object {keys[-1]} stays behind: {error}")
