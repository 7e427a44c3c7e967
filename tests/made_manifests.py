"""Manifests for tests: of the present version, and of version 1, which only earlier versions of the plugin wrote."""

from __future__ import annotations

import gzip
import json
import secrets
from typing import TYPE_CHECKING

from fsspec_gp_plugin import private
from fsspec_gp_plugin.integrity.contents import content_of
from fsspec_gp_plugin.integrity.entries import Entry, entry_line
from fsspec_gp_plugin.integrity.manifest_packing import pack
from fsspec_gp_plugin.integrity.object_names import FOLDER
from fsspec_gp_plugin.keys import timestamp_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.fakes import FakeStore


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """The entries as a manifest has them."""
    return sorted(entries, key=lambda one: (content_of(one.name), one.name))


def pack_entries(timestamp: str, entries: Iterable[Entry], claim: str = "", mark: str = "") -> bytes:
    """The bytes of a manifest of these entries."""
    return pack(timestamp, in_order(entries), claim, mark).data


def put_manifest(store: FakeStore, prefix: str, entries: Iterable[Entry], claim: str = "", mark: str = "") -> str:
    """Put a manifest of these entries beside the backup below the prefix; returns its key."""
    packed = pack(timestamp_of(prefix), in_order(entries), claim, mark)
    store.objects[prefix + packed.name] = packed.data
    return prefix + packed.name


def pack_version_1(timestamp: str, entries: Iterable[Entry], claim: str = "", mark: str = "") -> bytes:
    """The bytes of a manifest of version 1."""
    listed = sorted(entries)
    header = {
        "format": "fsspec_gp_plugin manifest",
        "version": 1,
        "plugin": "0.1.0",
        "timestamp": timestamp,
        "host": private.host(),
        "claim": claim,
        "mark": mark,
        "created": 1,
        "checksum": "crc32c",
        "objects": len(listed),
    }
    return gzip.compress("\n".join([json.dumps(header), *map(entry_line, listed), ""]).encode())


def put_version_1(store: FakeStore, prefix: str, entries: Iterable[Entry], claim: str = "", mark: str = "") -> str:
    """As put_manifest(), of version 1."""
    key = f"{prefix}{FOLDER}{private.host()}.{mark or secrets.token_hex(6)}-{secrets.token_hex(3)}.manifest.gz"
    store.objects[key] = pack_version_1(timestamp_of(prefix), entries, claim, mark)
    return key
