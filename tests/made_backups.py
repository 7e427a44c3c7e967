"""Whole backups in a store in memory: gpbackup's files, data objects, and a manifest of each host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsspec_gp_plugin.checksum import crc32c
from fsspec_gp_plugin.integrity.entries import Entry
from fsspec_gp_plugin.keys import backup_prefix
from tests.cli.whole import contents, record
from tests.made_manifests import put_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.fakes import FakeStore

OIDS = (16384, 16390, 16400)


def table(timestamp: str, content: int, oid: int) -> str:
    """The name of a table's data."""
    return f"gpbackup_{content}_{timestamp}_{oid}.gz"


def entries_of(store: FakeStore, timestamp: str, names: Iterable[str]) -> list[Entry]:
    """What a manifest says about objects that are there."""
    prefix = backup_prefix(timestamp)
    found = ((name, store.objects[prefix + name]) for name in names)
    return [Entry(name, len(data), crc32c(data)) for name, data in found]


def put_hosts(store: FakeStore, timestamp: str, hosts: Sequence[Sequence[int]], bases: Sequence[str] = ()) -> list[str]:
    """A backup of a coordinator and of hosts with segments of these content ids. Returns the names of its objects."""
    segments = sum(map(len, hosts))
    files = {
        "config.yaml": record(timestamp, bases, segments),
        "toc.yaml": contents(OIDS),
        "report": f"timestamp key: {timestamp}\nincremental: {bool(bases)}\nbackup status: Success\n",
        "metadata.sql": "--",
    }
    stored = [{f"gpbackup_{timestamp}_{end}": text.encode() for end, text in files.items()}]
    stored += [
        {table(timestamp, one, oid): b"%d rows of %d" % (oid, one) for one in ids for oid in OIDS} for ids in hosts
    ]
    prefix = backup_prefix(timestamp)
    for number, objects in enumerate(stored):
        store.objects |= {prefix + name: data for name, data in objects.items()}
        put_manifest(store, prefix, entries_of(store, timestamp, objects), mark=f"{number:012x}")
    return [name for objects in stored for name in objects]
