"""Makes encrypted backups of plain ones: each object is encrypted, and manifests describe what is stored, that of the
coordinator with a summary of gpbackup's files.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from fsspec_gp_plugin.backups.summarizing import join_notes, make_note, part_of
from fsspec_gp_plugin.checksum import crc32c
from fsspec_gp_plugin.integrity.claim import NAME, Claim, Encryption
from fsspec_gp_plugin.integrity.contents import COORDINATOR, content_of
from fsspec_gp_plugin.integrity.entries import Entry
from fsspec_gp_plugin.integrity.manifest_packing import PackedSummary, pack
from fsspec_gp_plugin.integrity.object_names import FOLDER
from fsspec_gp_plugin.keys import backup_prefix
from fsspec_gp_plugin.storage.reading import read_start
from tests.cli.whole import CLUSTER
from tests.made_manifests import in_order
from tests.sealing import IDENTITY, TOKEN, encrypt

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec_gp_plugin.storage.contract import Store

RECIPIENT = IDENTITY.recipient.text
REPORT = """\
Greenplum Database Backup Report

timestamp key:            {timestamp}
gpbackup version:         1.30.5

database name:            sales
command line:             gpbackup --dbname sales --include-table public.secret --leaf-partition-data
backup section:           All Sections
object filtering:         None
incremental:              {incremental}
{bases}
start time:               Fri Nov 27 2026 01:31:27

backup status:            {status}
{error}
segment count:            2
"""


def report(timestamp: str, bases: tuple[str, ...] = (), status: str = "Success") -> bytes:
    """Gpbackup's report of an incremental backup upon others, or of a full one."""
    needed = "\n".join(["incremental backup set:", *bases, timestamp, ""]) if bases else ""
    error = "" if status == "Success" else "backup error:             public.secret can't be read\n"
    text = REPORT.format(timestamp=timestamp, incremental=bool(bases), bases=needed, status=status, error=error)
    return text.encode()


def encrypt_backup(store: Store, timestamp: str, folder: Path, *, summary: bool = True) -> None:
    """Encrypt the backup of that timestamp at a target. `folder`: for gpbackup's files; `summary`: the manifest of the
    coordinator has one.
    """
    prefix = backup_prefix(timestamp)
    found = {info.key: read_start(store, info) for info in store.find(prefix)}
    store.delete(list(found))
    plain = {key[len(prefix) :]: data for key, data in found.items() if not key.startswith(prefix + FOLDER)}
    entries = []
    for name, data in plain.items():
        sealed = encrypt(prefix + name, data)
        store.put(prefix + name, memoryview(sealed))
        entries.append(Entry(name, len(sealed), crc32c(sealed)))
    for content, group in groupby(in_order(entries), lambda one: content_of(one.name)):
        said = summarize(plain, timestamp, folder) if summary and content == COORDINATOR else None
        packed = pack(timestamp, group, TOKEN, f"{content + 1:012x}", said)
        store.put(prefix + packed.name, memoryview(packed.data))
    claim = Claim(timestamp, TOKEN, CLUSTER, 1, encryption=Encryption((RECIPIENT,)))
    store.put(prefix + NAME, memoryview(claim.encode()))


def summarize(files: dict[str, bytes], timestamp: str, folder: Path) -> PackedSummary | None:
    """What a host notes of gpbackup's files."""
    notes = {}
    for name, data in files.items():
        if part := part_of(backup_prefix(timestamp) + name, timestamp):
            path = folder / name
            path.write_bytes(data)
            notes[part] = make_note(str(path), part)
    return join_notes(notes, [RECIPIENT])
