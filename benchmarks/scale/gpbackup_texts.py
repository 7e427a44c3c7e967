"""The bytes of gpbackup's own files of a backup, after those of real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DATABASE = "warehouse"

_REPORT = """\
Greenplum Database Backup Report

timestamp key:         {timestamp}
gpdb version:          6.24.3+585e934 build dev
gpbackup version:      1.30.5

database name:         {database}
command line:          gpbackup --dbname {database} --leaf-partition-data --plugin-config /home/gpadmin/plugin.yaml
compression:           gzip
plugin executable:     fsspec_gp_plugin
backup section:        All Sections
object filtering:      None
includes statistics:   No
data file format:      Multiple Data Files Per Segment
incremental:           {incremental}
{backup_set}
start time:            Fri Nov 27 2026 01:30:27
end time:              Fri Nov 27 2026 01:30:30
duration:              0:00:03

backup status:         Success

database size:         53 MB
segment count:         {segments}

count of database objects in backup:
tables                       {tables}
"""
_RECORD = """\
backupdir: ""
backupversion: 1.30.5
compressed: true
compressiontype: gzip
databasename: {database}
databaseversion: 6.24.3+585e934 build dev
segmentcount: {segments}
dataonly: false
incremental: {incremental}
leafpartitiondata: true
metadataonly: false
plugin: fsspec_gp_plugin
pluginversion: 0.1.0
restoreplan:
{plan}singledatafile: false
timestamp: "{timestamp}"
withoutglobals: false
withstatistics: false
status: Success
"""
_TABLE = """\
- schema: public
  name: t_{oid}
  objecttype: TABLE
  referenceobject: ""
  startbyte: {start}
  endbyte: {end}
  tier:
  - 1
  - {oid}
"""
_DATA = """\
- schema: public
  name: t_{oid}
  oid: {oid}
  attributestring: (a,b)
  rowscopied: 40
  partitionroot: ""
  isreplicated: false
  distbyenum: false
"""


def report(timestamp: str, segments: int, tables: int, chain: Sequence[str]) -> bytes:
    """Gpbackup's report. `chain`: the timestamps of the backups that a restore reads; one of a full backup."""
    numbers = {"segments": segments, "tables": tables}
    named = "".join(f"{line}\n" for line in ("incremental backup set:", *chain)) if len(chain) > 1 else ""
    values = {"database": DATABASE, "incremental": len(chain) > 1, "backup_set": named, **numbers}
    return _REPORT.format(timestamp=timestamp, **values).encode()


def record(timestamp: str, segments: int, plan: Iterable[tuple[str, Sequence[int]]], *, is_incremental: bool) -> bytes:
    """Gpbackup's config file. `plan`: the timestamps that a restore reads, and the tables that it reads of each."""
    parts = []
    for one, oids in plan:
        names = "".join([f"  - public.t_{oid}\n" for oid in oids])
        parts.append(f'- timestamp: "{one}"\n  tablefqns:{"" if oids else " []"}\n{names}')
    told = {"incremental": str(is_incremental).lower(), "plan": "".join(parts), "database": DATABASE}
    return _RECORD.format(timestamp=timestamp, segments=segments, **told).encode()


def contents(tables: Iterable[int], stored: Sequence[int]) -> bytes:
    """Gpbackup's table of contents. `stored`: the tables whose data is in this backup."""
    described = "".join([_TABLE.format(oid=oid, start=100 * n, end=100 * n + 100) for n, oid in enumerate(tables)])
    data = "".join([_DATA.format(oid=oid) for oid in stored])
    return (
        f"globalentries: []\npredataentries:\n{described}postdataentries: []\nstatisticsentries: []\n"
        f"dataentries:{'' if stored else ' []'}\n{data}incrementalmetadata:\n  ao: {{}}\n"
    ).encode()
