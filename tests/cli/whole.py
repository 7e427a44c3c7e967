"""Whole backups of two segment hosts and a coordinator, as gpbackup and this plugin leave them at a target."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

from fsspec_gp_plugin.checksum import crc32c
from fsspec_gp_plugin.integrity.claim import NAME, Claim, Encryption
from fsspec_gp_plugin.integrity.cluster import Cluster
from fsspec_gp_plugin.keys import backup_prefix
from tests.cli.arranged import REPORT
from tests.sealing import encrypt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fsspec_gp_plugin.age.x25519 import Identity
    from fsspec_gp_plugin.storage.contract import Store

MARKS = {"mdw": "0" * 12, "sdw1": "1" * 12, "sdw2": "2" * 12}
OIDS = (16384, 16390)
CLUSTER = Cluster("", "7300000000000000001", "mdw", "5432", "/data/gpseg-1")
OTHER = Cluster("", "7300000000000000002", "other", "5432", "/data/gpseg-1")
CLAIM, OTHER_CLAIM = "a" * 32, "b" * 32


def table(timestamp: str, content: int = 0, oid: int = OIDS[0]) -> str:
    """The name of a table's data."""
    return f"gpbackup_{content}_{timestamp}_{oid}.gz"


def record(timestamp: str, bases: Sequence[str], segments: int = 2) -> str:
    """Gpbackup's own, as far as anything reads it."""
    plan = "".join(f'- timestamp: "{one}"\n  tablefqns:\n  - public.t\n' for one in (*bases, timestamp))
    return (
        "compressed: true\ncompressiontype: gzip\ndatabasename: sales\n"
        f"segmentcount: {segments}\nincremental: {str(bool(bases)).lower()}\nmetadataonly: false\n"
        f"restoreplan:\n{plan}singledatafile: false\nwithstatistics: false\nstatus: Success\n"
    )


def contents(oids: Sequence[int] = OIDS) -> str:
    """Gpbackup's table of contents, as far as anything reads it."""
    entries = "".join(f"- schema: public\n  name: t{oid}\n  oid: {oid}\n" for oid in oids)
    return f"globalentries: []\ndataentries:\n{entries}incrementalmetadata:\n  ao: {{}}\n"


def manifest_of(timestamp: str, host: str, objects: Mapping[str, bytes], claim: str = CLAIM, created: int = 5) -> bytes:
    """A manifest of that host."""
    header = {
        "format": "fsspec_gp_plugin manifest",
        "version": 1,
        "plugin": "0.2.0",
        "timestamp": timestamp,
        "host": host,
        "claim": claim,
        "mark": MARKS.get(host, ""),
        "created": created,
        "checksum": "crc32c",
        "objects": len(objects),
    }
    rows = [[name, len(data), f"{crc32c(data):08x}"] for name, data in sorted(objects.items())]
    return gzip.compress("".join(json.dumps(line) + "\n" for line in [header, *rows]).encode(), mtime=0)


def manifest_name(host: str) -> str:
    """Of the manifest of a host that has left its mark."""
    return f"fsspec_gp_plugin/{host}.{MARKS[host]}-abcdef.manifest.gz"


def put_whole(
    store: Store,
    timestamp: str,
    bases: Sequence[str] = (),
    *,
    cluster: Cluster = CLUSTER,
    without: Sequence[str] = (),
    identity: Identity | None = None,
) -> dict[str, dict[str, bytes]]:
    """A whole backup, or an incremental one upon others, without objects of those names; encrypted if there is an
    identity that opens it. Returns what each host has stored.
    """
    report = REPORT.format(
        timestamp=timestamp,
        database="sales",
        options="",
        section="All Sections",
        filtering="None",
        incremental=bool(bases),
        status="Success",
    )
    files = {"config.yaml": record(timestamp, bases), "toc.yaml": contents(), "report": report, "metadata.sql": "--"}
    hosts = {"mdw": {f"gpbackup_{timestamp}_{end}": text.encode() for end, text in files.items()}}
    for content in (0, 1):
        hosts[f"sdw{content + 1}"] = {table(timestamp, content, oid): b"%d rows" % (content + oid) for oid in OIDS}
    encryption = None
    if identity is not None:
        encryption = Encryption((identity.recipient.text,))
        hosts = {
            host: {
                name: encrypt(backup_prefix(timestamp) + name, data, CLAIM, identity) for name, data in objects.items()
            }
            for host, objects in hosts.items()
        }
    every = {name: data for objects in hosts.values() for name, data in objects.items()}
    every[NAME] = Claim(timestamp, CLAIM, cluster, 1_767_323_045_000_000_000, encryption=encryption).encode()
    for host, objects in hosts.items():
        every[f"fsspec_gp_plugin/{host}.{MARKS[host]}.mark"] = b"{}"
        every[manifest_name(host)] = manifest_of(timestamp, host, objects)
    for name, data in every.items():
        if name not in without:
            store.put(backup_prefix(timestamp) + name, memoryview(data))
    return hosts
