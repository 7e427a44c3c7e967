"""Backups put at a target without gpbackup, for commands that find them there."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from fsspec_gp_plugin.integrity.claim import NAME, new_claim
from fsspec_gp_plugin.keys import backup_prefix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fsspec_gp_plugin.integrity.cluster import Cluster
    from fsspec_gp_plugin.storage.contract import Store
    from tests.protocol.caller import Plugin

DAY = 86400
# What is so much younger or older than a day is so on a slow machine, too.
A_WHILE = 600

REPORT = """\
Greenplum Database Backup Report

timestamp key:         {timestamp}
database name:         {database}
command line:          gpbackup --dbname {database} {options}
backup section:        {section}
object filtering:      {filtering}
incremental:           {incremental}

backup status:         {status}
"""


def put_backup(
    store: Store,
    timestamp: str,
    *,
    database: str = "sales",
    needs: Sequence[str] | None = None,
    status: str = "Success",
    section: str = "All Sections",
    filtering: str = "None",
    options: str = "--leaf-partition-data",
    without: Sequence[str] = (),
    size: int = 10,
    cluster: Cluster | None = None,
) -> None:
    """A backup with one table; an incremental one where it `needs` others; without files whose names end so; claimed
    by a cluster, if one is given.
    """
    if cluster is not None:
        put_claim(store, timestamp, cluster)
    plan = "".join(f'- timestamp: "{one}"\n  tablefqns:\n  - public.t\n' for one in [*(needs or ()), timestamp])
    report = REPORT.format(
        timestamp=timestamp,
        database=database,
        options=options,
        section=section,
        filtering=filtering,
        incremental=needs is not None,
        status=status,
    )
    files = {
        f"gpbackup_0_{timestamp}_16384": "x" * size,
        f"gpbackup_{timestamp}_config.yaml": f"databasename: x\nrestoreplan:\n{plan}singledatafile: false\n",
        f"gpbackup_{timestamp}_toc.yaml": "toc",
        f"gpbackup_{timestamp}_report": report,
    }
    for name, text in files.items():
        if not name.endswith(tuple(without)):
            store.put(backup_prefix(timestamp) + name, memoryview(text.encode()))


def put_claim(store: Store, timestamp: str, cluster: Cluster) -> None:
    """What the coordinator's setup hook leaves, and nothing else: gpbackup waits for its locks."""
    claim = new_claim(timestamp, cluster)
    store.put(backup_prefix(timestamp) + NAME, memoryview(claim.encode()))


def ago(days: float, seconds: float = 0) -> str:
    """The timestamp of a backup that was begun so long ago."""
    return time.strftime("%Y%m%d%H%M%S", time.localtime(time.time() - days * DAY - seconds))


def aged(folder: Path, seconds: float = 30 * DAY) -> None:
    """Make all files below a folder so old, as if nothing had been written since."""
    then = time.time() - seconds
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def asked(plugin: Plugin, *words: str, status: int = 0) -> dict[str, Any]:
    """What a command answers programs."""
    done = plugin.run(*words, "--json")
    assert (done.status, done.err) == (status, "")
    answer: dict[str, Any] = json.loads(done.out)
    return answer
